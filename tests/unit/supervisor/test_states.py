"""The state machine, and the page that is drawn from it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.supervisor.states import (
    HAVING,
    TRANSITIONS,
    Event,
    State,
    diagram,
    elsewhere,
    follow,
)

PAGE = Path(__file__).parents[3] / "docs" / "supervisor.md"


def after(*events: Event) -> State | None:
    state: State | None = State.STOPPED
    for event in events:
        assert state is not None
        state = follow(state, event)
    return state


def test_the_page_shows_the_table() -> None:
    page = PAGE.read_text()
    assert f"```mermaid\n{diagram()}\n```" in page, diagram()
    assert elsewhere() in page, elsewhere()


def test_every_state_is_described() -> None:
    page = PAGE.read_text()
    for state in State:
        assert f"| `{state}` |" in page


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((Event.LAUNCH, Event.SERVER_AWAY, Event.DEVICE_AWAY), State.WAITING_FOR_DEVICE),
        ((Event.LAUNCH, Event.IMPORT, Event.PLAN, Event.BIND), State.BOUND),
        ((Event.LAUNCH, Event.PLAN, Event.BIND, Event.CONFIGURE), State.RUNNING),
        ((Event.LAUNCH, Event.PLAN, Event.BIND, Event.CONFIGURE, Event.DECONFIGURE), State.BOUND),
        ((Event.LAUNCH, Event.ATTACH, Event.LOSE, Event.PAUSE), State.BACKING_OFF),
        ((Event.LAUNCH, Event.IMPORT, Event.PLAN, Event.ATTACH), State.RUNNING),
        ((Event.LAUNCH, Event.PLAN, Event.BIND, Event.HOLD, Event.CONFIGURE), State.HELD),
        ((Event.LAUNCH, Event.PLAN, Event.BIND, Event.HOLD, Event.RESUME), State.RUNNING),
        ((Event.LAUNCH, Event.REFUSE, Event.LAUNCH), State.REFUSED),
        ((Event.LAUNCH, Event.REFUSE, Event.LAUNCH, Event.DEVICE_AWAY), State.WAITING_FOR_DEVICE),
        ((Event.LAUNCH, Event.PARK, Event.LAUNCH), State.WAITING_FOR_SERVER),
        ((Event.LAUNCH, Event.BIND), None),
        ((Event.LAUNCH, Event.CONFIGURE), None),
        ((Event.CRASH,), None),
    ],
)
def test_ways_through_it(events: tuple[Event, ...], state: State | None) -> None:
    assert after(*events) is state


@given(st.sampled_from(State))
def test_it_can_be_stopped_and_started_from_anywhere(state: State) -> None:
    assert follow(state, Event.STOP) is State.STOPPED
    assert follow(state, Event.LAUNCH) in {State.WAITING_FOR_SERVER, State.REFUSED}


def test_a_device_is_never_bound_without_a_plan() -> None:
    leading = [before for before, after in TRANSITIONS[Event.BIND].items() if after is State.BOUND]
    assert leading == [State.PLANNING]


def test_every_state_can_be_reached_and_left() -> None:
    reached, seen = {State.STOPPED}, set[State]()
    while reached - seen:
        state = (reached - seen).pop()
        seen.add(state)
        reached |= {after for event in Event if (after := follow(state, event)) is not None}
    assert reached == set(State)


def test_only_a_device_that_is_here_can_be_lost() -> None:
    assert set(TRANSITIONS[Event.LOSE]) == set(HAVING)
