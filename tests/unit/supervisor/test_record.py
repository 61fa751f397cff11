"""What is known of an attachment, from what its process says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.link import HostAddress
from gadgetip.matching import Match, MatchSelector
from gadgetip.supervisor.config import ConfiguredAttachment
from gadgetip.supervisor.messages import Message, News, Value, decode, encode
from gadgetip.supervisor.record import CRASHES, Record
from gadgetip.supervisor.states import Event, State
from tests.unit.supervisor.test_messages import messages

STICK = ConfiguredAttachment("stick", HostAddress("nas"), MatchSelector((Match(ids=("1:2",)),)))


class Told:
    """A record, and what it told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.states: list[str] = []
        self.lines: list[str] = []
        self.record = Record(
            STICK,
            lambda record: self.states.append(record.state),
            lambda _, text: self.lines.append(text),
            lambda: self.now,
        )

    def hear(self, news: News, **fields: Value) -> None:
        self.record.hear(decode(encode(news, **fields)))


@pytest.fixture
def told() -> Told:
    return Told()


def attach(told: Told) -> None:
    told.record.happen(Event.LAUNCH)
    told.hear(News.WAITING, awaited="device", reason="none", pause_s=0.5)
    told.hear(News.IMPORTING, busid="1-1")
    told.hear(News.IMPORTED, busid="1-1", id="0781:5581", device="Ultra")
    told.hear(News.BOUND, backend="functionfs", profile="generic", speed="high-speed")


def test_from_start_to_running(told: Told) -> None:
    attach(told)
    assert told.record.as_json()["host_configured"] is False
    told.now = 200.0
    told.hear(News.CONFIGURED, speed="full-speed")
    told.hear(
        News.TRAFFIC,
        bytes_in=1,
        bytes_out=2,
        urbs_in=3,
        urbs_out=4,
        discarded=0,
        halts=0,
        errors=0,
        saved_round_trips=None,
        round_trip_ms=1.5,
    )
    assert told.states == [
        *("waiting for server", "waiting for device", "importing", "planning", "bound", "running")
    ]
    shown = told.record.as_json()
    assert (shown["state"], shown["since"], shown["reason"]) == ("running", 200.0, None)
    assert (shown["busid"], shown["id"], shown["device"]) == ("1-1", "0781:5581", "Ultra")
    assert (shown["backend"], shown["profile"]) == ("functionfs", "generic")
    assert (shown["host_configured"], shown["speed"]) == (True, "full-speed")
    assert isinstance(shown["traffic"], dict)
    assert shown["traffic"]["round_trip_ms"] == 1.5
    assert (shown["server"], shown["match"], shown["to"]) == ("nas", "id=1:2", "gadget")


def test_a_loss_and_why(told: Told) -> None:
    attach(told)
    told.hear(News.LOST, reason="the link is gone", crashed=False)
    told.hear(News.PAUSED, pause_s=0.5)
    shown = told.record.as_json()
    assert (shown["state"], shown["reason"]) == ("backing off", "the link is gone")
    assert (shown["losses"], shown["restarts"], shown["busid"]) == (1, 0, None)
    told.hear(News.WAITING, awaited="server", reason="no answer", pause_s=1.0)
    assert (told.record.state, told.record.reason) == (State.WAITING_FOR_SERVER, "no answer")


def test_held_while_the_host_is_away(told: Told) -> None:
    attach(told)
    told.hear(News.HELD, reason="the link is gone", limit_s=30.0)
    told.hear(News.RESUMED, after_s=2.0)
    assert told.states[-3:] == ["held", "running", "bound"]


def test_the_same_again_is_no_change(told: Told) -> None:
    attach(told)
    told.hear(News.CONFIGURED, speed="high-speed")
    changes, lines = len(told.states), len(told.lines)
    told.now = 300.0
    told.hear(News.CONFIGURED, speed="high-speed")
    assert (len(told.states), len(told.lines), told.record.since) == (changes, lines, 100.0)


def test_what_cannot_come_is_said_and_changes_nothing(told: Told) -> None:
    told.record.happen(Event.LAUNCH)
    told.hear(News.BOUND, backend="functionfs", profile="generic", speed="high-speed")
    assert told.record.state is State.WAITING_FOR_SERVER
    assert told.lines[-1] == 'this is a bug: "bound" while it is waiting for server'


def test_a_refusal_that_is_tried_again_keeps_its_reason(told: Told) -> None:
    told.record.happen(Event.LAUNCH)
    told.hear(News.REFUSED, reason="no module")
    told.record.happen(Event.LAUNCH)
    assert (told.record.state, told.record.reason) == (State.REFUSED, "no module")
    told.hear(News.REFUSED, reason="no module")
    assert told.states == ["waiting for server", "refused"]


def test_five_crashes_in_a_minute(told: Told) -> None:
    assert [told.record.crashed(at) for at in (0.0, 1.0, 2.0, 3.0, 4.0)] == [*[False] * 4, True]
    told.record.forgive()
    assert not told.record.crashed(5.0)


def test_five_crashes_in_more_than_a_minute(told: Told) -> None:
    times = [20.0 * index for index in range(4 * CRASHES)]
    assert not any(told.record.crashed(at) for at in times)


@given(st.text(st.characters()))
def test_a_reason_is_one_line_that_can_be_encoded(reason: str) -> None:
    told = Told()
    attach(told)
    told.record.happen(Event.LOSE, reason)
    assert told.record.reason.isprintable()
    told.record.reason.encode("utf-8")


def test_what_does_not_print_in_a_reason_is_shown_as_what_it_is(told: Told) -> None:
    attach(told)
    told.hear(News.LOST, reason="a\nb \ud800 \\n", crashed=False)
    assert told.record.reason == "a\\nb \\ud800 \\n"
    for _ in range(2):
        told.hear(News.REFUSED, reason="no\nmodule")
    assert told.lines.count("refused: no\\nmodule") == 1, "the same again is no news"


@given(st.lists(st.one_of(messages(), st.sampled_from(Event)), max_size=30))
def test_whatever_happens(happenings: list[Message | Event]) -> None:
    told = Told()
    for happening in happenings:
        before = told.record.state
        if isinstance(happening, Message):
            told.record.hear(happening)
        else:
            told.record.happen(happening)
        if told.record.state is not before:
            assert told.states[-1] == told.record.state
    for one, other in zip(told.states, told.states[1:], strict=False):
        assert one != other, "a change is a change"
