"""Which submits and unlinks wait for an answer. Both ends keep the same book.

A submit S is *pending* from CMD_SUBMIT on. What ends that:

    RET_SUBMIT(S)                      it is over. Nothing more may come for S.
    RET_UNLINK with a status not 0     it is gone. Nothing more may come for S.
    RET_UNLINK with status 0           a *tombstone*: S had ended at the server when the unlink
                                       came. If its RET_SUBMIT has not come yet, it may follow (the
                                       kernel does not order the two answers: stub_tx.c), or it
                                       never will (the data is lost: stub_complete.c).

A tombstone that is never resolved must not stay for ever, so only the newest are kept. It does
not prevent that its seqnum is used again: a counter of 32 bits wraps within months.

An unlink for a submit that is not pending is legal: its RET_SUBMIT may have crossed the CMD_UNLINK
on the way. A second unlink of one pending submit is not: the kernel's stub renames the submit when
the first comes (stub_rx.c), so the second would be answered "had ended" for one that has not.
"""

from gadgetip.wire.constants import MAX_PENDING, MAX_TOMBSTONES
from gadgetip.wire.rules import Submit, Violation


class Ledger:
    """The submits and unlinks in flight on one connection."""

    __slots__ = ("_submits", "_tombstones", "_unlinking", "_unlinks")

    def __init__(self) -> None:
        self._submits: dict[int, Submit] = {}
        self._unlinks: dict[int, int] = {}  # seqnum of the unlink: of its submit
        self._unlinking: set[int] = set()  # pending submits that have an unlink on the way
        self._tombstones: dict[int, Submit] = {}  # oldest first, as dicts are

    @property
    def pending(self) -> int:
        """How many submits have not been answered."""
        return len(self._submits)

    @property
    def pending_unlinks(self) -> int:
        """How many unlinks have not been answered."""
        return len(self._unlinks)

    @property
    def tombstones(self) -> int:
        """How many unlinked submits may still be answered."""
        return len(self._tombstones)

    def submit(self, seqnum: int, submit: Submit) -> None:
        """Note a CMD_SUBMIT."""
        if len(self._submits) >= MAX_PENDING:
            raise Violation(f"CMD_SUBMIT: {MAX_PENDING} submits wait for their answers already")
        self._refuse_reuse("CMD_SUBMIT", seqnum)
        self._tombstones.pop(seqnum, None)
        self._submits[seqnum] = submit

    def look_up(self, seqnum: int) -> Submit:
        """Find the submit that a RET_SUBMIT answers."""
        submit = self._submits.get(seqnum) or self._tombstones.get(seqnum)
        if submit is None:
            raise Violation(f"RET_SUBMIT.seqnum is {seqnum}, but no such CMD_SUBMIT is pending")
        return submit

    def complete(self, seqnum: int) -> None:
        """Note that the RET_SUBMIT of a submit that was looked up is complete."""
        if self._submits.pop(seqnum, None) is None:
            self._tombstones.pop(seqnum, None)
        elif self._unlinking:
            self._unlinking.discard(seqnum)

    def unlink(self, seqnum: int, unlink_seqnum: int) -> None:
        """Note a CMD_UNLINK."""
        if len(self._unlinks) >= MAX_PENDING:
            raise Violation(f"CMD_UNLINK: {MAX_PENDING} unlinks wait for their answers already")
        self._refuse_reuse("CMD_UNLINK", seqnum)
        if unlink_seqnum in self._unlinking:
            raise Violation(f"CMD_UNLINK.unlink_seqnum is {unlink_seqnum}, unlinked already")
        self._unlinks[seqnum] = unlink_seqnum
        if unlink_seqnum in self._submits:
            self._unlinking.add(unlink_seqnum)

    def unlinked(self, seqnum: int, status: int) -> None:
        """Note a RET_UNLINK, and what it says of the submit."""
        unlink_seqnum = self._unlinks.pop(seqnum, None)
        if unlink_seqnum is None:
            raise Violation(f"RET_UNLINK.seqnum is {seqnum}, but no such CMD_UNLINK is pending")
        if unlink_seqnum not in self._unlinking:
            return  # its RET_SUBMIT was first
        self._unlinking.discard(unlink_seqnum)
        submit = self._submits.pop(unlink_seqnum)
        if status == 0:
            self._tombstones[unlink_seqnum] = submit
            if len(self._tombstones) > MAX_TOMBSTONES:
                del self._tombstones[next(iter(self._tombstones))]

    def _refuse_reuse(self, name: str, seqnum: int) -> None:
        if seqnum in self._submits or seqnum in self._unlinks:
            raise Violation(f"{name}.seqnum is {seqnum}, which is still in use")
