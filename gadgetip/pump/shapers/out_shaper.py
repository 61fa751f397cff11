"""One OUT endpoint whose data goes to the device as it comes: what `packet` and `short` share.

The host is acknowledged when the controller has its data: a *posted* write. When the window of
reads and of what is on its way is full no read is queued, so the host is NAKed: back-pressure.

When the device stalls, what was posted behind the stall is lost to it although the host was told
otherwise. That is counted and reported, and the halt tells the host.
"""

import asyncio
from abc import abstractmethod
from collections import deque
from functools import partial

from gadgetip.pump.lanes import LaneState, OutLane
from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import Shaper, ShaperContext, Side, pause_before_rearming
from gadgetip.wire import RetSubmit


class OutShaper(Shaper):
    """One OUT endpoint; how long a read is and how reads become URBs, its kinds decide."""

    def __init__(self, side: Side, context: ShaperContext) -> None:
        super().__init__([side], context)
        self.side = side
        self._arrived: deque[memoryview] = deque()
        self._entries_out = 0
        self._bytes_out = 0
        self._submit_due = False
        self._stalls = 0
        self.lane: OutLane | None = None

    @property
    @abstractmethod
    def read_bytes(self) -> int:
        """The length of a read, whole packets of the host."""

    @abstractmethod
    def arrive(self, data: memoryview) -> None:
        """Append to `_arrived` what a read brought."""

    @abstractmethod
    def next_urb(self) -> tuple[bytes, int]:
        """Take the data of the next URB from `_arrived`, and of how many entries it is made."""

    @property
    def unconfirmed(self) -> int:
        """Bytes read from the host and not yet confirmed by the device."""
        by_lane = self.lane.unconfirmed if self.lane is not None else 0
        return by_lane + self._bytes_out + sum(map(len, self._arrived))

    def begin(self) -> None:
        """Queue reads up to the window."""
        self._fill()

    def forget(self) -> None:
        """Drop what was taken from the host under a state that is over."""
        lost = self.unconfirmed
        self.side.statistics.discarded += lost
        self._arrived.clear()
        self._entries_out = self._bytes_out = 0

    def suspend(self) -> None:
        """Send no more. What was sent and not confirmed is in doubt, and is not sent again.

        A device that got it would get it twice; that it is in doubt is said. Where a halt is
        being settled it is said with that.
        """
        super().suspend()
        if self._bytes_out and not self.recovering(self.side):
            self.context.noticed(
                f"endpoint 0x{self.side.route.address:02x}: the link was lost; "
                f"{self._bytes_out} bytes from the host were on their way to the device, and "
                "whether it got them is not known"
            )

    async def resume(self) -> None:
        """Send what the host has sent meanwhile, and take more."""
        self.held = False
        self.running = True
        self._stalls = 0
        self._submit()
        self._fill()

    def adopt(self, state: LaneState) -> None:
        """Go on where the lane was."""
        if state.number("good"):
            self._stalls = 0
        for urb in state.urbs:
            self._entries_out += urb.entries
            self._bytes_out += urb.size
            self.side.remote.adopt(urb.seqnum, partial(self._returned, urb.entries, urb.size))
        for request in state.requests:
            self.side.replica.adopt_read(request.number, self._read)
        self._arrived.extend(map(memoryview, state.arrived))
        if self._arrived:
            self._submit_soon()

    def _lent(self) -> bool:
        """Whether the lane goes on, or is about to, when all that is under way is through."""
        if self.lane is None:
            return False
        is_busy = self.side.replica.pending or self.side.remote.in_flight or self._arrived
        if self.lane.is_lent or is_busy or self._later:
            return True
        return self.running and not self.recovering(self.side) and self.lane.lend()

    def _fill(self) -> None:
        if self._lent():
            return
        replica, size = self.side.replica, self.read_bytes
        window = self.side.route.window_urbs
        while (
            self.running
            and not self.recovering(self.side)
            and replica.pending + len(self._arrived) + self._entries_out < window
        ):
            replica.read(size, self._read)

    def _read(self, error: int, data: memoryview) -> None:
        if error:
            self.read_failed(self.side, error, self._fill)
            return
        self.arrive(data)
        if not self.recovering(self.side):
            self._submit_soon()

    def _submit_soon(self) -> None:
        """Completions come in bursts: what has arrived by the end of this one may be merged."""
        if not self._submit_due:
            self._submit_due = True
            asyncio.get_running_loop().call_soon(self._submit)

    def _submit(self) -> None:
        self._submit_due = False
        if self.stopping or self.held or self.recovering(self.side):
            return
        while self._arrived:
            data, entries = self.next_urb()
            self._entries_out += entries
            self._bytes_out += len(data)
            self.side.remote.submit_out(data, partial(self._returned, entries, len(data)))

    def _returned(self, entries: int, size: int, outcome: Outcome, ret: RetSubmit) -> None:
        self._entries_out = max(0, self._entries_out - entries)
        self._bytes_out = max(0, self._bytes_out - size)
        statistics = self.side.statistics
        lost_before = statistics.discarded
        statistics.urbs += 1
        if outcome is Outcome.DONE:
            statistics.moved += size
            self._stalls = 0
            self._fill()
            return
        statistics.discarded += size - min(ret.actual_length, size)
        statistics.moved += min(ret.actual_length, size)
        if outcome is Outcome.GONE:
            self.context.device_gone()
        elif outcome is not Outcome.CANCELLED and self.running:
            self.recover(self.side, self._settle_halt(outcome, ret.status, lost_before))

    async def _settle_halt(self, outcome: Outcome, status: int, lost_before: int) -> None:
        address = self.side.route.address
        statistics = self.side.statistics
        if outcome is Outcome.FAILED:
            statistics.errors += 1
        statistics.halts += 1
        await self.side.remote.unlink_all()
        await self.side.replica.cancel_all()
        statistics.discarded += sum(map(len, self._arrived))
        self._arrived.clear()
        await self.side.replica.halt()
        lost = statistics.discarded - lost_before
        if lost or outcome is Outcome.FAILED:
            self.context.noticed(
                f"endpoint 0x{address:02x} halted (status {status}): {lost} bytes behind the halt "
                "were taken from the host and not delivered"
            )
        await pause_before_rearming(self._stalls)
        self._stalls += 1
        await self.side.remote.clear_halt()
        asyncio.get_running_loop().call_soon(self._fill)
