"""Who waits for what: each way in which a submit can end, one by one."""

import pytest

from gadgetip.wire.constants import MAX_PENDING, MAX_TOMBSTONES, Direction
from gadgetip.wire.ledger import Ledger
from gadgetip.wire.rules import Submit, Violation

SUBMIT = Submit(Direction.IN, 64, 0)
ECONNRESET = -104


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.submit(1, SUBMIT)
    return ledger


def state(ledger: Ledger) -> tuple[int, int, int]:
    return ledger.pending, ledger.pending_unlinks, ledger.tombstones


def test_an_answer_ends_it(ledger: Ledger) -> None:
    assert ledger.look_up(1) == SUBMIT
    ledger.complete(1)
    assert state(ledger) == (0, 0, 0)
    with pytest.raises(Violation, match=r"RET_SUBMIT\.seqnum is 1, but no such CMD_SUBMIT"):
        ledger.look_up(1)


def test_unlinked_and_gone(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    assert state(ledger) == (1, 1, 0)
    ledger.unlinked(2, ECONNRESET)
    assert state(ledger) == (0, 0, 0)
    with pytest.raises(Violation):
        ledger.look_up(1)


def test_answer_then_unlink_answer(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    ledger.complete(1)
    ledger.unlinked(2, 0)
    assert state(ledger) == (0, 0, 0)


def test_answer_then_unlink_answer_with_an_error(ledger: Ledger) -> None:
    """No kernel does it, but it contradicts nothing that matters: the submit is over."""
    ledger.unlink(2, 1)
    ledger.complete(1)
    ledger.unlinked(2, ECONNRESET)
    assert state(ledger) == (0, 0, 0)


def test_unlink_answer_then_answer(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    ledger.unlinked(2, 0)
    assert state(ledger) == (0, 0, 1)
    assert ledger.look_up(1) == SUBMIT
    ledger.complete(1)
    assert state(ledger) == (0, 0, 0)
    with pytest.raises(Violation):
        ledger.look_up(1)


def test_an_unlink_may_cross_the_answer(ledger: Ledger) -> None:
    ledger.complete(1)
    ledger.unlink(2, 1)
    ledger.unlinked(2, 0)
    assert state(ledger) == (0, 0, 0)


def test_an_unlink_is_answered_once(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    ledger.unlinked(2, 0)
    with pytest.raises(Violation, match=r"RET_UNLINK\.seqnum is 2, but no such CMD_UNLINK"):
        ledger.unlinked(2, 0)


def test_a_submit_is_unlinked_once(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    with pytest.raises(Violation, match=r"CMD_UNLINK\.unlink_seqnum is 1, unlinked already"):
        ledger.unlink(3, 1)


def test_a_seqnum_that_waits_is_not_used_again(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    for seqnum in (1, 2):
        with pytest.raises(Violation, match=rf"CMD_SUBMIT\.seqnum is {seqnum}, which is still"):
            ledger.submit(seqnum, SUBMIT)
        with pytest.raises(Violation, match=rf"CMD_UNLINK\.seqnum is {seqnum}, which is still"):
            ledger.unlink(seqnum, 9)


def test_a_seqnum_that_wrapped_replaces_a_tombstone(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    ledger.unlinked(2, 0)
    other = Submit(Direction.OUT, 5, 0)
    ledger.submit(1, other)
    assert state(ledger) == (1, 0, 0)
    assert ledger.look_up(1) == other


def test_a_completed_submit_can_be_unlinked_anew_after_its_seqnum_wrapped(ledger: Ledger) -> None:
    ledger.unlink(2, 1)
    ledger.complete(1)
    ledger.unlinked(2, 0)
    ledger.submit(1, SUBMIT)
    ledger.unlink(2, 1)
    ledger.unlinked(2, ECONNRESET)
    assert state(ledger) == (0, 0, 0)


def test_an_old_unlink_does_not_touch_a_new_submit(ledger: Ledger) -> None:
    """The submit that the unlink meant is over; its seqnum belongs to another one now."""
    ledger.unlink(2, 1)
    ledger.complete(1)
    ledger.submit(1, SUBMIT)
    ledger.unlinked(2, ECONNRESET)
    assert state(ledger) == (1, 0, 0)


def test_tombstones_are_bounded_and_the_oldest_goes_first() -> None:
    ledger = Ledger()
    for number in range(MAX_TOMBSTONES + 1):
        ledger.submit(2 * number, SUBMIT)
        ledger.unlink(2 * number + 1, 2 * number)
        ledger.unlinked(2 * number + 1, 0)
    assert ledger.tombstones == MAX_TOMBSTONES
    with pytest.raises(Violation):
        ledger.look_up(0)
    assert ledger.look_up(2) == SUBMIT


def test_pending_is_bounded() -> None:
    ledger = Ledger()
    for seqnum in range(MAX_PENDING):
        ledger.submit(seqnum, SUBMIT)
    with pytest.raises(Violation, match="wait for their answers already"):
        ledger.submit(MAX_PENDING, SUBMIT)
    for seqnum in range(MAX_PENDING):
        ledger.unlink(MAX_PENDING + seqnum, seqnum)
    with pytest.raises(Violation, match="wait for their answers already"):
        ledger.unlink(2 * MAX_PENDING, 9)
