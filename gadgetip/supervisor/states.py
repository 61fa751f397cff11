"""The state machine of an attachment: one table, and nothing else decides.

An attachment is what the configuration asks for; whether a process works at it just now is a
matter of its state. Events come from that process (what it sees of the server, the device and
the host), from the controllers, and from people. What the table does not have cannot happen, or is
a bug; it changes nothing and is said.

The picture in `docs/supervisor.md` is drawn from this table (`diagram`).
"""

from enum import StrEnum


class State(StrEnum):
    """Where an attachment is; the words that `status` shows and hooks are given."""

    STOPPED = "stopped"
    WAITING_FOR_CONTROLLER = "waiting for controller"
    WAITING_FOR_SERVER = "waiting for server"
    WAITING_FOR_DEVICE = "waiting for device"
    IMPORTING = "importing"
    PLANNING = "planning"
    BOUND = "bound"
    RUNNING = "running"
    HELD = "held"
    LOST = "lost"
    BACKING_OFF = "backing off"
    REFUSED = "refused"
    PARKED = "parked"


class Event(StrEnum):
    """What happens to an attachment, in words that fit behind an arrow."""

    STOP = "stop"
    NO_CONTROLLER = "no controller"
    LAUNCH = "launch"
    SERVER_AWAY = "server away"
    DEVICE_AWAY = "device away"
    IMPORT = "imported"
    PLAN = "known"
    BIND = "bound"
    ATTACH = "on a port"
    CONFIGURE = "host configures"
    DECONFIGURE = "host lets go"
    HOLD = "link lost, hold"
    RESUME = "resumed"
    LOSE = "lost"
    PAUSE = "pause"
    REFUSE = "refused"
    CRASH = "crash"
    PARK = "five crashes"


_SEEKING = (
    State.WAITING_FOR_SERVER,
    State.WAITING_FOR_DEVICE,
    State.LOST,
    State.BACKING_OFF,
    State.REFUSED,
)
HAVING = (State.IMPORTING, State.PLANNING, State.BOUND, State.RUNNING, State.HELD)
"""The states in which the device is here."""
_AT_WORK = (*_SEEKING, *HAVING)

TRANSITIONS: dict[Event, dict[State, State]] = {
    Event.STOP: dict.fromkeys(State, State.STOPPED),
    Event.NO_CONTROLLER: dict.fromkeys(State, State.WAITING_FOR_CONTROLLER),
    # One that was refused is tried again quietly: it stays so until there is news.
    Event.LAUNCH: {
        **dict.fromkeys(State, State.WAITING_FOR_SERVER),
        State.REFUSED: State.REFUSED,
    },
    Event.SERVER_AWAY: dict.fromkeys((*_SEEKING, State.IMPORTING), State.WAITING_FOR_SERVER),
    Event.DEVICE_AWAY: dict.fromkeys((*_SEEKING, State.IMPORTING), State.WAITING_FOR_DEVICE),
    Event.IMPORT: dict.fromkeys(_SEEKING, State.IMPORTING),
    Event.PLAN: dict.fromkeys((*_SEEKING, State.IMPORTING), State.PLANNING),
    Event.BIND: {State.PLANNING: State.BOUND},
    Event.ATTACH: dict.fromkeys((*_SEEKING, State.IMPORTING, State.PLANNING), State.RUNNING),
    Event.CONFIGURE: {
        State.BOUND: State.RUNNING,
        State.RUNNING: State.RUNNING,
        State.HELD: State.HELD,
    },
    Event.DECONFIGURE: {
        State.BOUND: State.BOUND,
        State.RUNNING: State.BOUND,
        State.HELD: State.HELD,
    },
    Event.HOLD: {State.BOUND: State.HELD, State.RUNNING: State.HELD, State.HELD: State.HELD},
    Event.RESUME: {State.HELD: State.RUNNING},
    Event.LOSE: dict.fromkeys(HAVING, State.LOST),
    Event.PAUSE: {State.LOST: State.BACKING_OFF, State.BACKING_OFF: State.BACKING_OFF},
    Event.REFUSE: dict.fromkeys(_AT_WORK, State.REFUSED),
    Event.CRASH: dict.fromkeys(_AT_WORK, State.BACKING_OFF),
    Event.PARK: dict.fromkeys(_AT_WORK, State.PARKED),
}
"""For each event, where it leads from each state in which it can come."""


def follow(state: State, event: Event) -> State | None:
    """The state after this event; None where it cannot come."""
    return TRANSITIONS[event].get(state)


def diagram() -> str:
    """The table as a Mermaid state diagram; what can come anywhere is left to the text below it."""
    lines = ["stateDiagram-v2"]
    lines += [f"    state {_quoted(state)} as {_identifier(state)}" for state in State]
    lines.append(f"    [*] --> {_identifier(State.STOPPED)}")
    for before in State:
        arrows: dict[State, list[str]] = {}
        for event in Event:
            after = follow(before, event)
            if after not in {None, before} and event not in ANYWHERE:
                assert after is not None
                arrows.setdefault(after, []).append(event)
        lines += [
            f"    {_identifier(before)} --> {_identifier(after)}: {', '.join(events)}"
            for after, events in arrows.items()
        ]
    return "\n".join(lines)


ANYWHERE = frozenset({Event.STOP, Event.NO_CONTROLLER, Event.REFUSE, Event.CRASH, Event.PARK})
"""What leads from every state in which it can come to the same one: no picture needs the arrows."""


def elsewhere() -> str:
    """A table in Markdown of the events that `diagram` leaves out: event, from, to."""
    rows = ["| Event | From | To |", "| --- | --- | --- |"]
    for event in Event:
        if event in ANYWHERE:
            befores = TRANSITIONS[event]
            (after,) = set(befores.values())
            whence = "anywhere" if len(befores) == len(State) else ", ".join(befores)
            rows.append(f"| {event} | {whence} | {after} |")
    return "\n".join(rows)


def _identifier(state: State) -> str:
    return state.replace(" ", "_")


def _quoted(state: State) -> str:
    return f'"{state}"'
