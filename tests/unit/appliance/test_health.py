"""When a board is left alone, and when it is started anew."""

import fcntl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.health import SILENCE_LIMIT_S, START_LIMIT_S, Health
from gadgetip.appliance.watching import ANSWER_LIMIT_S, INTERVAL_S, WATCHDOG_S, Watchdog

START = Health(since=1000.0)


def after(now: float, *, answers: bool = False, expected: bool = True) -> Health:
    return START.looked(now, answers=answers, expected=expected)


def test_it_may_take_its_time_to_boot() -> None:
    assert after(1000 + START_LIMIT_S).well(1000 + START_LIMIT_S)
    assert not after(1001 + START_LIMIT_S).well(1001 + START_LIMIT_S)


def test_a_supervisor_that_falls_silent() -> None:
    answered = after(2000, answers=True)
    assert answered.well(2000 + SILENCE_LIMIT_S)
    silent = answered.looked(2001 + SILENCE_LIMIT_S, answers=False, expected=True)
    assert not silent.well(2001 + SILENCE_LIMIT_S)
    assert silent.looked(3000, answers=True, expected=True).well(3000)


@given(st.floats(0, 1e9))
def test_a_refused_configuration_never_restarts_the_board(later: float) -> None:
    assert after(1000 + later, expected=False).well(1000 + later)


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=40))
def test_answers_within_a_minute_of_each_other_are_well(steps: list[tuple[float, bool]]) -> None:
    health, now, last = after(1000, answers=True), 1000.0, 1000.0
    for step, answers in steps:
        now += step
        last = now if answers else last
        health = health.looked(now, answers=answers, expected=True)
        assert health.well(now) == (now - last <= SILENCE_LIMIT_S)


def test_a_machine_without_a_watchdog(tmp_path: Path) -> None:
    dog = Watchdog(tmp_path / "watchdog")
    assert not dog.open
    assert dog.problem == "No such file or directory"
    dog.feed()
    dog.close()


def test_a_watchdog_that_comes_later(tmp_path: Path) -> None:
    dog = Watchdog(tmp_path / "watchdog")
    assert not dog.look()
    (tmp_path / "watchdog").touch()
    assert dog.look()
    assert not dog.look()
    assert dog.open
    dog.feed()
    assert (tmp_path / "watchdog").read_bytes() == b"\0"
    dog.close()


def test_the_watchdog_gets_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the initramfs had set is for a boot, and too long for a board that hangs."""
    calls: list[tuple[int, int]] = []

    def ioctl(file: int, request: int, data: bytes) -> bytes:
        calls.append((request, int.from_bytes(data, "little")))
        return data

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    file = tmp_path / "watchdog"
    dog = Watchdog(file)
    assert calls == []
    file.touch()
    assert dog.look()
    assert calls == [(0xC0045706, WATCHDOG_S)]
    assert ANSWER_LIMIT_S + INTERVAL_S < WATCHDOG_S
    assert WATCHDOG_S % 16 == 15


def test_the_watchdog_is_stopped_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "watchdog"
    file.touch()
    dog = Watchdog(file)
    dog.feed()
    dog.feed()
    dog.close()
    assert file.read_bytes() == b"\0\0V"


def test_a_watchdog_whose_driver_comes_late(tmp_path: Path) -> None:
    file = tmp_path / "watchdog"
    dog = Watchdog(file)
    assert (dog.open, dog.look()) == (False, False)
    file.touch()
    assert (dog.look(), dog.open, dog.look()) == (True, True, False)
    dog.feed()
    assert file.read_bytes() == b"\0"
