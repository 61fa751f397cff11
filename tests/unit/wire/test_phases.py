"""The table allows one request, one reply, and URBs after a granted import; nothing else."""

import pytest

from gadgetip.wire.phases import TRANSITIONS, Phase, Trigger, next_phase
from gadgetip.wire.rules import Violation


def test_the_way_to_the_urb_phase() -> None:
    phase = next_phase(Phase.IDLE, Trigger.OP_REQ_IMPORT)
    assert next_phase(phase, Trigger.IMPORT_GRANTED) is Phase.URB
    assert next_phase(phase, Trigger.IMPORT_REFUSED) is Phase.DONE


def test_a_list_is_all() -> None:
    phase = next_phase(Phase.IDLE, Trigger.OP_REQ_DEVLIST)
    assert next_phase(phase, Trigger.OP_REP_DEVLIST) is Phase.DONE


def test_every_phase_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Phase)


@pytest.mark.parametrize("phase", [p for p in Phase if p not in {Phase.CLOSED, Phase.ERROR}])
def test_the_stream_may_end_or_break_anywhere(phase: Phase) -> None:
    assert next_phase(phase, Trigger.END_OF_STREAM) is Phase.CLOSED
    assert next_phase(phase, Trigger.PROTOCOL_ERROR) is Phase.ERROR


def test_what_is_not_in_the_table_is_a_violation() -> None:
    with pytest.raises(Violation, match=r"^OP_REP_IMPORT \(granted\) is not allowed before the re"):
        next_phase(Phase.IDLE, Trigger.IMPORT_GRANTED)
