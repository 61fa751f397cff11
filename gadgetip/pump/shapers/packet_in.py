"""`packet` and `interrupt`, towards the host: each URB asks the device for exactly one packet.

A window of such URBs waits at the device before the host asks. What has arrived while the host
was busy is merged: consecutive full packets, and one short packet at their end, become one write,
which leaves the controller as the same packets. A zero-length packet is a write of its own. The
window counts packets that wait at either end, so that a host that does not read stops the device.

A halt must reach the host behind the data that the device sent before it, and before any that it
sends after: nothing is lost and nothing doubled across it.
"""

import asyncio
import errno
from collections import deque
from functools import partial

from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import Shaper, ShaperContext, Side, pause_before_rearming
from gadgetip.pump.shapers.merging import merge
from gadgetip.wire import RetSubmit

MAX_WRITES = 2
MAX_BUS_ERRORS = 3


class PacketInShaper(Shaper):
    """One IN endpoint, packet by packet."""

    def __init__(self, side: Side, context: ShaperContext) -> None:
        super().__init__([side], context)
        self.side = side
        self._arrived: deque[bytes] = deque()
        self._written = 0
        self._window = side.route.window_urbs
        self._armed = side.route.window_urbs
        self._stalls = 0
        self._bus_errors = 0

    @property
    def unconfirmed(self) -> int:
        """Nothing: this direction promises the device nothing."""
        return 0

    def begin(self) -> None:
        """Fill the window."""
        self._armed = self._window
        self._fill()

    def forget(self) -> None:
        """Drop data that the device sent under a state that is over (a reset, a new setting)."""
        self.side.statistics.discarded += sum(map(len, self._arrived))
        self._arrived.clear()
        self._written = 0

    def _fill(self) -> None:
        remote, size = self.side.remote, self.side.route.device_max_packet
        waiting = len(self._arrived) + self._written
        while self.running and remote.in_flight + waiting < self._armed:
            remote.submit_in(size, self._returned)

    def _returned(self, outcome: Outcome, ret: RetSubmit) -> None:
        if outcome is Outcome.DONE and self.stopping:
            self.side.statistics.discarded += len(ret.data)
        elif outcome is Outcome.DONE:
            self._stalls = self._bus_errors = 0
            self._armed = self._window
            self.side.statistics.urbs += 1
            self._arrived.append(ret.data)
            self._write()
        elif outcome is Outcome.STALLED and self.running:
            self.recover(self.side, self._settle_halt(ret.data))
        elif outcome is Outcome.FAILED and self.running:
            self.side.statistics.errors += 1
            self.recover(self.side, self._settle_failure(ret))
        elif outcome is Outcome.GONE:
            self.context.device_gone()

    def _write(self) -> None:
        while self._arrived and self.side.replica.pending < MAX_WRITES and not self.stopping:
            route = self.side.route
            data, packets = merge(self._arrived, route.device_max_packet, route.transfer_bytes)
            self._written += packets
            self.side.replica.write(data, partial(self._taken, packets, len(data)))

    def _taken(self, packets: int, size: int, error: int) -> None:
        self._written = max(0, self._written - packets)
        if error == 0:
            self.side.statistics.moved += size
        else:
            self.side.statistics.discarded += size
        self._write()
        if not self.recovering(self.side):
            self._fill()

    async def _settle_halt(self, partial: bytes) -> None:
        self.side.statistics.halts += 1
        await self.side.remote.unlink_all()
        if partial:
            self._arrived.append(partial)
            self._write()
        while self._arrived or self.side.replica.pending:
            await self.side.replica.drained()
            await asyncio.sleep(0)
        await self.side.replica.halt()
        await self.side.remote.clear_halt()
        await self._rearm()

    async def _settle_failure(self, ret: RetSubmit) -> None:
        await self.side.remote.unlink_all()
        self._bus_errors += 1
        if self._bus_errors > MAX_BUS_ERRORS or ret.status == -errno.EOVERFLOW:
            if self._bus_errors == MAX_BUS_ERRORS + 1:
                self.context.noticed(
                    f"endpoint 0x{self.side.route.address:02x} fails at the device "
                    f"(status {ret.status}): it is halted towards the host"
                )
            await self._settle_halt(b"")
            return
        await self._rearm()

    async def _rearm(self) -> None:
        """One URB alone first: a device that stalls again must not be asked at full rate."""
        self._armed = 1
        await pause_before_rearming(self._stalls)
        self._stalls += 1
        asyncio.get_running_loop().call_soon(self._fill)
