"""The life of a connection, as a table.

A USB/IP stream begins in the operation phase: the client makes one request, the server gives one
reply. After a list, or after an import that was refused, there is nothing more to say; after an
import that was granted the same stream carries URBs until one side closes it.

Rule 1: everything that changes the phase is in this table.
Rule 2: the table does not know which role we play. Client and server walk through it in step,
because each message is an event for both.
"""

from enum import Enum
from typing import Final

from gadgetip.wire.rules import Violation


class Phase(Enum):
    """Where a connection is in its life."""

    IDLE = "before the request"
    DEVLIST = "between OP_REQ_DEVLIST and its reply"
    IMPORT = "between OP_REQ_IMPORT and its reply"
    URB = "in the URB phase"
    DONE = "after the last reply"
    CLOSED = "after the end of the stream"
    ERROR = "after a protocol error"


class Trigger(Enum):
    """What can change the phase."""

    OP_REQ_DEVLIST = "OP_REQ_DEVLIST"
    OP_REP_DEVLIST = "OP_REP_DEVLIST"
    OP_REQ_IMPORT = "OP_REQ_IMPORT"
    IMPORT_GRANTED = "OP_REP_IMPORT (granted)"
    IMPORT_REFUSED = "OP_REP_IMPORT (refused)"
    END_OF_STREAM = "the end of the stream"
    PROTOCOL_ERROR = "a protocol error"


_ALWAYS: Final = {Trigger.END_OF_STREAM: Phase.CLOSED, Trigger.PROTOCOL_ERROR: Phase.ERROR}

TRANSITIONS: Final[dict[Phase, dict[Trigger, Phase]]] = {
    Phase.IDLE: {
        Trigger.OP_REQ_DEVLIST: Phase.DEVLIST,
        Trigger.OP_REQ_IMPORT: Phase.IMPORT,
        **_ALWAYS,
    },
    Phase.DEVLIST: {Trigger.OP_REP_DEVLIST: Phase.DONE, **_ALWAYS},
    Phase.IMPORT: {
        Trigger.IMPORT_GRANTED: Phase.URB,
        Trigger.IMPORT_REFUSED: Phase.DONE,
        **_ALWAYS,
    },
    Phase.URB: {**_ALWAYS},
    Phase.DONE: {**_ALWAYS},
    Phase.CLOSED: {Trigger.END_OF_STREAM: Phase.CLOSED},
    Phase.ERROR: {},
}


def next_phase(phase: Phase, trigger: Trigger) -> Phase:
    """Look up where `trigger` leads from `phase`."""
    try:
        return TRANSITIONS[phase][trigger]
    except KeyError:
        raise Violation(f"{trigger.value} is not allowed {phase.value}") from None
