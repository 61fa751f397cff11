"""Devices and servers that mean harm, read by `gadgetip inspect`: one line, soon, in little memory.

The limits of time are made short, so that "soon" does not mean minutes; that there are limits is
what is tested. Memory is that of client and server together.
"""

import re
import time
import tracemalloc

import pytest

from gadgetip.pump import urbs
from gadgetip.remote import descriptors, operations
from tests.emulated.hostile import HOSTILE, Hostile
from tests.emulated.hostile.lies import Late
from tests.emulated.hostile.operations import DrippingImport
from tests.emulated.hostile.urbs import Drip
from tests.emulated.server import EmulatedServer
from tests.unit.cli.running import Command, Run

LIMIT_S = 30.0
MEMORY_LIMIT_BYTES = 50_000_000


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of what a person has to wait for, on both sides."""
    monkeypatch.setattr(descriptors, "REQUEST_LIMIT_S", 0.5)
    monkeypatch.setattr(descriptors, "TOTAL_LIMIT_S", 2.0)
    monkeypatch.setattr(operations, "REPLY_LIMIT_S", 1.0)
    monkeypatch.setattr(urbs, "UNLINK_LIMIT_S", 0.5)
    monkeypatch.setattr(Late, "DELAY_S", 0.15)
    monkeypatch.setattr(Drip, "PACE_S", 0.05)
    monkeypatch.setattr(DrippingImport, "PACE_S", 0.05)


@pytest.fixture
def gadgetip(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def inspect(gadgetip: Command, hostile: Hostile) -> Run:
    began = time.monotonic()
    with EmulatedServer(hostile.make(), session=hostile.session) as server:
        run = gadgetip("inspect", server.host, hostile.selector)
    assert time.monotonic() - began < LIMIT_S
    return run


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("name", HOSTILE)
def test_it_ends_with_one_line(name: str, gadgetip: Command) -> None:
    hostile = HOSTILE[name]
    run = inspect(gadgetip, hostile)
    assert "bug" not in run.err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", run.out + run.err)
    if hostile.says is None:
        assert (run.status, run.err) == (0, "")
        return
    assert len(run.err.splitlines()) == 1, run.err
    assert re.search(hostile.says, run.err), run.err
    assert run.status == hostile.status, run.err
    assert run.out == ""


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize(
    "name",
    [
        "configurations-255-of-64k",
        "total-length-with-data",
        "descriptors-of-2-bytes",
        "bos-64k",
        "huge",
        "iso-packets",
        "flood",
        "flood-after-import",
        "list-of-millions",
        "list-of-the-same",
    ],
)
def test_it_takes_little_memory(name: str, gadgetip: Command) -> None:
    tracemalloc.start()
    try:
        inspect(gadgetip, HOSTILE[name])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_LIMIT_BYTES


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("name", ["strings-late", "strings-never-come", "names-64k"])
def test_a_device_is_not_asked_for_strings_for_ever(name: str, gadgetip: Command) -> None:
    with EmulatedServer(HOSTILE[name].make()) as server:
        assert gadgetip("inspect", server.host, "1-1").status == 0
        asked = [each for each in server.journal.controls() if each.wValue >> 8 == 3]
    # Beside the texts: the languages, and Microsoft's string.
    assert 0 < len(asked) <= 2 + descriptors.MAX_LANGUAGES * descriptors.MAX_STRINGS


def test_every_way_to_mean_harm_has_words() -> None:
    assert all(hostile.summary.endswith(".") for hostile in HOSTILE.values())
    assert len(HOSTILE) > 100
