"""Every fuzz target stands its seeds, what once broke it, and a moment of random bytes.

And each is able to fail: an oracle that accepts everything would look the same.
"""

import random
from typing import Any

import pytest

from gadgetip.server.userspace.urb import Urb
from gadgetip.wire.ledger import Ledger
from tests.fuzz import seeds as begin
from tests.fuzz.draw import Draw
from tests.fuzz.measured import Meter
from tests.fuzz.scripted_device import ScriptedDevice
from tests.fuzz.targets import NAMES, target

TAPES = 150


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_regressions(name: str) -> None:
    run = target(name)
    assert sum(run(data) for data in begin.seeds(name)) > len(begin.seeds(name)) // 2


@pytest.mark.parametrize("name", NAMES)
def test_random_tapes(name: str) -> None:
    run = target(name)
    source = random.Random(name)
    for number in range(TAPES):
        run(source.randbytes(8 << number % 8))


def test_every_folder_of_regressions_is_a_target() -> None:
    assert {folder.name for folder in begin.REGRESSIONS.iterdir() if folder.is_dir()} <= set(NAMES)


@pytest.mark.parametrize("name", ["client", "server"])
def test_a_broken_ledger_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that nobody awaits are let through: the targets must fail."""

    def forgetful(self: Ledger, seqnum: int) -> None:
        """An answer does not end its submit."""

    monkeypatch.setattr(Ledger, "complete", forgetful)
    run = target(name)
    source = random.Random(2)
    inputs = [source.randbytes(512) for _ in range(400)]
    with pytest.raises(AssertionError):
        sum(map(run, inputs))


def test_a_session_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device has finished gets lost, now and then."""
    finished = ScriptedDevice.finished

    def forgetful(self: ScriptedDevice, limit_s: float) -> list[Urb]:
        return finished(self, limit_s)[1:]

    monkeypatch.setattr(ScriptedDevice, "finished", forgetful)
    run = target("session")
    source = random.Random(2)
    inputs = [source.randbytes(512) for _ in range(100)]
    with pytest.raises(AssertionError):
        sum(map(run, inputs))


def test_a_tape_at_its_end_gives_the_first_choice() -> None:
    draw = Draw(b"\xff")
    assert draw.integer(0, 9) == 255 % 10
    assert draw.integer(3, 9) == 3
    assert draw.pick("abc") == "a"
    assert not draw.one_in(2)
    assert draw.filled(3) == bytes(3)
    assert len(Draw(b"abcd").filled(1000)) == 1000
    assert [Draw(bytes([n])).integer(5, 5) for n in range(3)] == [5, 5, 5]


def test_the_meter_ends_by_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(0, 100)
    ended: list[Any] = [meter.count(10) for _ in range(10)]
    assert ended == [False] * 9 + [True]
    assert meter.executions == 10
    assert "100 messages" in meter.line()
    assert len(meter.table().splitlines()) == len(meter.samples) + 2
