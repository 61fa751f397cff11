"""Attach, lose, attach again; and what ends that."""

from collections.abc import Callable
from typing import cast

import pytest

from gadgetip.attachment import keeping, searching
from gadgetip.attachment.backoff import Backoff
from gadgetip.attachment.keeping import keep_attached
from gadgetip.attachment.searching import PatientSearch, Search, may_pass
from gadgetip.errors import (
    DeviceUnpluggedError,
    GadgetipError,
    LinkLostError,
    LocalProtocolError,
    PrerequisiteError,
    RefusedError,
    RemoteProtocolError,
    UsageError,
)
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector
from gadgetip.remote import AmbiguousError, DeviceBusyError, FoundDevice, NotExportedError

ADDRESS = HostAddress("nas")
SELECTOR = DeviceSelector.parse("0781:5581")
FOUND = cast("FoundDevice", object())


def nominal(low: float, high: float) -> float:
    return (low + high) / 2


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.naps: list[float] = []
        for module in (keeping, searching):
            monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
            monkeypatch.setattr(module.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.naps.append(round(seconds, 3))
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def answering(monkeypatch: pytest.MonkeyPatch, *answers: GadgetipError | None) -> None:
    """Let `find_and_import` raise these, one after the other, or find the device."""
    left = list(answers)

    async def find_and_import(*_: object) -> FoundDevice:
        answer = left.pop(0)
        if answer is not None:
            raise answer
        return FOUND

    monkeypatch.setattr(searching, "find_and_import", find_and_import)


# --- searching ------------------------------------------------------------------------------


def test_a_device_is_awaited(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    reasons = [
        LinkLostError("away"),
        LinkLostError("away"),
        NotExportedError("none"),
        DeviceBusyError("busy"),
        GadgetipError("error state"),
    ]
    answering(monkeypatch, *reasons, None)
    told: list[GadgetipError] = []
    search = PatientSearch(lambda error, _: told.append(error))
    assert search(ADDRESS, SELECTOR) is FOUND
    assert told == reasons
    assert clock.naps == [0.5] * 5


def test_after_a_loss_a_server_that_is_away_is_asked_less_and_less(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    away, none = LinkLostError("away"), NotExportedError("none")
    answering(monkeypatch, away, away, RemoteProtocolError("half"), none, none, away, None)
    search = PatientSearch(lambda *_: None, Backoff(uniform=nominal))
    assert search(ADDRESS, SELECTOR) is FOUND
    assert clock.naps == [0.5, 1, 2, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "error",
    [
        UsageError(""),
        PrerequisiteError(""),
        RefusedError(""),
        LocalProtocolError(""),
        AmbiguousError(""),
        RemoteProtocolError(""),
    ],
)
def test_what_time_does_not_mend(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, error: GadgetipError
) -> None:
    answering(monkeypatch, error)
    with pytest.raises(type(error)):
        PatientSearch(lambda *_: None)(ADDRESS, SELECTOR)
    assert clock.naps == []
    assert may_pass(error, after_loss=True) == isinstance(error, RemoteProtocolError)


# --- keeping --------------------------------------------------------------------------------


class Sink:
    """Attaches, and loses the device after some seconds for one reason after the other."""

    def __init__(self, clock: Clock, *losses: tuple[float, GadgetipError | None]) -> None:
        self._clock = clock
        self._losses = list(losses)
        self.searches: list[Search] = []

    def __call__(self, search: Search) -> None:
        self.searches.append(search)
        assert search(ADDRESS, SELECTOR) is FOUND
        seconds, error = self._losses.pop(0)
        self._clock.now += seconds
        if error is not None:
            raise error


def keep(attach: Callable[[Search], None], first: Search = lambda *_: FOUND) -> list[GadgetipError]:
    lost: list[GadgetipError] = []
    keep_attached(
        attach,
        first,
        on_lost=lost.append,
        on_waiting=lambda *_: None,
        backoff=Backoff(uniform=nominal),
    )
    return lost


def test_it_is_attached_again_after_every_loss(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    answering(monkeypatch, *[None] * 6)
    losses = [
        (1, LinkLostError("1")),
        (1, LinkLostError("2")),
        (1, DeviceUnpluggedError("3")),
        (1, GadgetipError("the worker died")),
        (40, LinkLostError("4")),
        (1, LinkLostError("5")),
    ]
    sink = Sink(clock, *losses, (1, None))
    assert keep(sink) == [error for _, error in losses]
    # Short again after an attachment that was stable; an unplug is no reason to be slow.
    assert clock.naps == [0.5, 1, 0.5, 2, 0.5, 1]
    assert len({id(search) for search in sink.searches}) == 7


def test_the_first_time_an_error_is_an_error(clock: Clock) -> None:
    def nothing(*_: object) -> FoundDevice:
        raise LinkLostError("nothing listens")

    with pytest.raises(LinkLostError, match="nothing listens"):
        keep(Sink(clock), nothing)
    assert clock.naps == []


def test_an_error_that_no_second_attempt_mends(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    answering(monkeypatch, None)
    with pytest.raises(RefusedError):
        keep(Sink(clock, (1, LinkLostError("")), (0, RefusedError("too big"))))


def test_the_user_stops_it_while_it_waits(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gadgetip.attachment.keeping.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        keep(Sink(clock, (1, LinkLostError(""))))


def test_how_often_is_the_callers(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    answering(monkeypatch, NotExportedError("none"), NotExportedError("none"), None)
    often = iter((0.1, 2.0))
    search = PatientSearch(lambda *_: None, poll_s=lambda: next(often))
    assert search(ADDRESS, SELECTOR) is FOUND
    assert clock.naps == [0.1, 2.0]


def test_after_a_loss_it_is_looked_for_as_the_caller_says(clock: Clock) -> None:
    found = []

    def attach(search: Search) -> None:
        found.append(search(ADDRESS, SELECTOR))
        if len(found) == 1:
            raise DeviceUnpluggedError("gone")

    other = cast("FoundDevice", object())
    keep_attached(
        attach,
        lambda *_: FOUND,
        on_lost=lambda _: None,
        on_waiting=lambda *_: None,
        again=lambda *_: other,
    )
    assert found == [FOUND, other]
