"""One IN endpoint whose data goes to the host as it comes: what `packet` and `short` share.

A window of URBs waits at the device before the host asks. The window counts what waits at either
end, so that a host that does not read stops the device, and memory stays bounded. Without
read-ahead it is one: the device is asked again when the host has taken what it said before.

A halt must reach the host behind the data that the device sent before it, and before any that it
sends after: nothing is lost and nothing doubled across it. A write that the kernel did not carry
out is made again where nothing has been written behind it; otherwise the order is broken, and the
host is told so by a halt.
"""

import asyncio
import errno
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial

from gadgetip.pump.lanes import InLane, LaneState
from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import (
    WHEN_STOPPED,
    Shaper,
    ShaperContext,
    Side,
    pause_before_again,
    pause_before_rearming,
)
from gadgetip.usb import TransferType
from gadgetip.wire import RetSubmit

MAX_WRITES = 2
MAX_BUS_ERRORS = 3
DRAIN_POLL_S = 0.001


class InShaper(Shaper):
    """One IN endpoint; how long a URB is and how arrivals become writes, its kinds decide."""

    def __init__(self, side: Side, context: ShaperContext) -> None:
        super().__init__([side], context)
        self.side = side
        self._arrived: deque[bytes] = deque()
        """What the host is to get next: each at least one write of its own, unless merged."""
        self._written = 0
        self._window = side.route.window_urbs if side.route.read_ahead else 1
        self._armed = self._window
        self._max_writes = MAX_WRITES
        self._stalls = 0
        self._bus_errors = 0
        self._observe: Callable[[bytes], None] | None = None
        self.lane: InLane | None = None

    @property
    @abstractmethod
    def urb_bytes(self) -> int:
        """The length of a URB, whole packets of the device."""

    @abstractmethod
    def arrive(self, data: bytes, *, ended: bool) -> None:
        """Append to `_arrived` what a URB brought; not `ended`: an error cut it off."""

    @abstractmethod
    def next_write(self) -> tuple[bytes | bytearray, int]:
        """Take the next write from `_arrived`, and of how many entries it is made."""

    @property
    def window(self) -> int:
        """URBs that may wait at either end together."""
        return self._window

    @property
    def waiting(self) -> int:
        """What has arrived and the host has not taken, in entries of `_arrived`."""
        return len(self._arrived) + self._written

    @property
    def holds_back(self) -> bool:
        """Whether there is data of which no lane knows."""
        return False

    @property
    def unconfirmed(self) -> int:
        """Nothing: this direction promises the device nothing."""
        return 0

    def begin(self) -> None:
        """Fill the window."""
        self._armed = self._window
        self._max_writes = MAX_WRITES
        self.fill()

    def forget(self) -> None:
        """Drop data that the device sent under a state that is over (a reset, a new setting)."""
        self.side.statistics.discarded += sum(map(len, self._arrived))
        self._arrived.clear()
        self._written = 0

    def suspend(self) -> None:
        """Ask no more; what has arrived goes to the host all the same."""
        in_flight = self.side.remote.in_flight
        super().suspend()
        if self.side.route.transfer_type is TransferType.BULK and in_flight:
            self.context.noticed(
                f"endpoint 0x{self.side.route.address:02x}: the link was lost; up to "
                f"{in_flight * self.urb_bytes} bytes that the device sent may be lost"
            )
        # A device that was reset does not go on with the packet whose beginning waits here.
        self.flush()
        self.write()

    async def resume(self) -> None:
        """Ask again: a device that was reset sends from the beginning."""
        self.held = False
        self.running = True
        self._armed = self._window
        self._stalls = self._bus_errors = 0
        self.write()
        if not self.recovering(self.side):
            self.fill()

    def observed_by(self, observer: Callable[[bytes], None] | None) -> None:
        """Show the data of each URB to this one too."""
        self._observe = observer

    def insert(self, data: bytes) -> None:
        """Give the host a packet that the device did not send, behind what it did."""
        self._arrived.append(data)
        self.write()

    def may_ask(self) -> bool:
        """Whether the device may be asked for more now."""
        return self.running

    def fill(self) -> None:
        """Ask the device for as much as the window allows, or let the lane do it."""
        if self.lane is not None and not self.holds_back:
            is_busy = self.side.remote.in_flight or self.waiting or self.side.replica.pending
            if self.lane.is_lent or is_busy or not self.may_ask():
                return  # when all of it is through, the lane goes on
            if self.lane.lend(self._armed, self._max_writes):
                return
        while self.may_ask() and self.side.remote.in_flight + self.waiting < self._armed:
            self.submit()

    def adopt(self, state: LaneState) -> None:
        """Go on where the lane was."""
        self._max_writes = state.number("max_writes")
        if state.number("good"):
            self._stalls = self._bus_errors = 0
            self._armed = self._window
        self._arrived.extend(state.arrived)
        for urb in state.urbs:
            self.side.remote.adopt(urb.seqnum, self._returned)
        for request in state.requests:
            self._written += request.entries
            taken = partial(self._taken, request.entries, request.data)
            self.side.replica.adopt_write(request.number, len(request.data), taken)

    def submit(self) -> None:
        """Let one URB wait at the device."""
        self.side.remote.submit_in(self.urb_bytes, self._returned)

    async def emptied(self) -> None:
        """Wait until the host has taken all that has arrived."""
        while self._arrived or self.side.replica.pending:
            await self.side.replica.drained()
            # What failed is written again after a pause; then nothing is pending meanwhile.
            idle = self._arrived and not self.side.replica.pending
            await asyncio.sleep(DRAIN_POLL_S if idle else 0)

    def _returned(self, outcome: Outcome, ret: RetSubmit) -> None:
        if outcome is Outcome.DONE and self.stopping:
            self.side.statistics.discarded += len(ret.data)
        elif outcome is Outcome.DONE:
            self._stalls = self._bus_errors = 0
            self._armed = self._window
            self.side.statistics.urbs += 1
            if self._observe is not None:
                self._observe(bytes(ret.data))
            self.arrive(ret.data, ended=True)
            self.write()
            if not self.recovering(self.side):
                self.fill()  # what arrived may have made no write
        elif outcome is Outcome.STALLED and self.running:
            self.recover(self.side, self.settle_halt(ret.data))
        elif outcome is Outcome.FAILED and self.running:
            self.side.statistics.errors += 1
            self.recover(self.side, self._settle_failure(ret))
        elif outcome is Outcome.GONE:
            self.context.device_gone()

    def write(self) -> None:
        """Write what has arrived, as far as the host keeps up."""
        replica = self.side.replica
        while self._arrived and replica.pending < self._max_writes and not self.stopping:
            data, entries = self.next_write()
            self._written += entries
            replica.write(data, partial(self._taken, entries, data))

    def _taken(self, entries: int, data: bytes | bytearray, error: int) -> None:
        self._written = max(0, self._written - entries)
        if error and error not in WHEN_STOPPED and not self.stopping:
            self._write_failed(data, error)
            return
        if error:
            self.side.statistics.discarded += len(data)
        else:
            self.side.statistics.moved += len(data)
            self._max_writes = MAX_WRITES
        self.write()
        if not self.recovering(self.side):
            self.fill()

    def _write_failed(self, data: bytes | bytearray, error: int) -> None:
        if not self.side.replica.pending:
            self._arrived.appendleft(bytes(data))
            self.later(pause_before_again(error), self.write)
            return
        self.side.statistics.discarded += len(data)
        self.side.statistics.errors += 1
        self.context.noticed(
            f"endpoint 0x{self.side.route.address:02x}: {len(data)} bytes could not be given to "
            f"the host (error {-error}): it is halted"
        )
        self.recover(self.side, self.settle_halt(b""))

    async def settle_halt(self, partial_data: bytes) -> None:
        """Let the host meet the halt behind the data before it, then clear it at the device."""
        self.side.statistics.halts += 1
        await self.side.remote.unlink_all()
        if partial_data:
            self.arrive(partial_data, ended=False)
        self.flush()
        self.write()
        await self.emptied()
        # A controller may hand back what is written before the host clears the halt; then only
        # one write can be made again in its place.
        self._max_writes = 1
        await self.side.replica.halt()
        await self.side.remote.clear_halt()
        await self._rearm()

    def flush(self) -> None:
        """Move to `_arrived` what is held back, whole packets or not: nothing follows it."""

    async def _settle_failure(self, ret: RetSubmit) -> None:
        await self.side.remote.unlink_all()
        self._bus_errors += 1
        if self._bus_errors > MAX_BUS_ERRORS or ret.status == -errno.EOVERFLOW:
            if self._bus_errors == MAX_BUS_ERRORS + 1 or ret.status == -errno.EOVERFLOW:
                self._notice_failure(ret.status)
            await self.settle_halt(ret.data)
            return
        if ret.data:
            self.arrive(ret.data, ended=False)
            self.write()
        await self._rearm()

    def _notice_failure(self, status: int) -> None:
        if status not in self._told:
            self._told.add(status)
            self.context.noticed(
                f"endpoint 0x{self.side.route.address:02x} fails at the device "
                f"(status {status}): it is halted towards the host"
            )

    async def _rearm(self) -> None:
        """One URB alone first: a device that stalls again must not be asked at full rate."""
        self._armed = 1
        await pause_before_rearming(self._stalls)
        self._stalls += 1
        asyncio.get_running_loop().call_soon(self.fill)
