"""`packet` and `interrupt`, towards the device: each read takes exactly one packet of the host's.

The host is acknowledged when the controller has the packet: a *posted* write. Consecutive full
packets that have arrived, and one short packet at their end, travel as one URB, which leaves the
server as the same packets; a zero-length packet is a URB of its own. When the window of packets
read or on their way is full no read is queued, so the host is NAKed: back-pressure.

When the device stalls, what was posted behind the stall is lost to it although the host was told
otherwise. That is counted and reported, and the halt tells the host.
"""

import asyncio
from collections import deque
from functools import partial

from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import Shaper, ShaperContext, Side, pause_before_rearming
from gadgetip.pump.shapers.merging import merge
from gadgetip.wire import RetSubmit


class PacketOutShaper(Shaper):
    """One OUT endpoint, packet by packet."""

    def __init__(self, side: Side, context: ShaperContext) -> None:
        super().__init__([side], context)
        self.side = side
        self._arrived: deque[memoryview] = deque()
        self._packets_out = 0
        self._bytes_out = 0
        self._merge_due = False
        self._stalls = 0

    @property
    def unconfirmed(self) -> int:
        """Bytes read from the host and not yet confirmed by the device."""
        return self._bytes_out + sum(map(len, self._arrived))

    def begin(self) -> None:
        """Queue reads up to the window."""
        self._fill()

    def forget(self) -> None:
        """Drop what was taken from the host under a state that is over."""
        lost = self.unconfirmed
        self.side.statistics.discarded += lost
        self._arrived.clear()
        self._packets_out = self._bytes_out = 0

    def _fill(self) -> None:
        replica, size = self.side.replica, self.side.route.host_max_packet
        window = self.side.route.window_urbs
        while (
            self.running
            and not self.recovering(self.side)
            and replica.pending + len(self._arrived) + self._packets_out < window
        ):
            replica.read(size, self._read)

    def _read(self, error: int, data: memoryview) -> None:
        if error:
            return  # disabled or cancelled; whoever did that starts again
        self._arrived.append(data)
        if not self._merge_due and not self.recovering(self.side):
            # Completions come in bursts: what has arrived by the end of this one is merged.
            self._merge_due = True
            asyncio.get_running_loop().call_soon(self._submit)

    def _submit(self) -> None:
        self._merge_due = False
        if self.stopping or self.recovering(self.side):
            return
        route = self.side.route
        while self._arrived:
            data, packets = merge(self._arrived, route.host_max_packet, route.transfer_bytes)
            self._packets_out += packets
            self._bytes_out += len(data)
            self.side.remote.submit_out(bytes(data), partial(self._returned, packets, len(data)))

    def _returned(self, packets: int, size: int, outcome: Outcome, ret: RetSubmit) -> None:
        self._packets_out = max(0, self._packets_out - packets)
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
