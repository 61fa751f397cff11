"""What a device does at one endpoint: echo, pour out, swallow, report, stall, or nothing.

An endpoint is a queue of waiting URBs on one side and packets on the other, for that is how USB
moves data: an IN URB collects packets until it is full or a short one comes, and then no sooner;
an OUT URB is cut into packets. What a client may rely on follows from that and from nothing else.
A packet that does not fit the URB is EOVERFLOW; an endpoint that is halted answers EPIPE until the
halt is cleared; a URB that waits at an endpoint which the client disables (SET_INTERFACE,
SET_CONFIGURATION, reset) comes back ESHUTDOWN, as `usb_disable_endpoint` makes it (core/message.c).
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from gadgetip.wire import IsoPacketDescriptor
from tests.emulated.urb import Urb

if TYPE_CHECKING:
    from tests.emulated.device import EmulatedDevice

KEPT_BYTES = 4 * 1024 * 1024


class DeviceEndpoint:
    """One endpoint address of a device; by itself it answers nothing (NAK)."""

    device: "EmulatedDevice"

    def __init__(self) -> None:
        self.address = 0
        self.max_packet = 0
        self.halted = False
        self.enabled = False
        self.urbs: deque[Urb] = deque()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the server; time passes only while there is one."""
        return self.device.loop

    def submitted(self, urb: Urb) -> None:
        """A URB came."""
        if self.halted:
            urb.answer(-errno.EPIPE)
            return
        urb.queue = self
        self.urbs.append(urb)
        self.work()

    def forget(self, urb: Urb) -> None:
        """A URB was answered or unlinked."""
        self.urbs.remove(urb)

    def work(self) -> None:
        """Answer what can be answered, in order; called whenever something has changed."""

    def halt(self) -> None:
        """Stall from now on, what waits included."""
        self.halted = True
        self._flush(-errno.EPIPE)

    def clear_halt(self) -> None:
        """CLEAR_FEATURE(ENDPOINT_HALT)."""
        self.halted = False
        self.work()

    def enable(self, max_packet: int) -> None:
        """The configuration and alternate setting that were chosen have this endpoint."""
        self.enabled, self.halted, self.max_packet = True, False, max_packet
        self.begin()

    def disable(self) -> None:
        """They do not have it, or are chosen anew."""
        was_enabled, self.enabled = self.enabled, False
        self._flush(-errno.ESHUTDOWN)
        if was_enabled:
            self.end()

    def begin(self) -> None:
        """Start to live."""

    def end(self) -> None:
        """Forget what belongs to the time in which the endpoint was enabled."""

    def _flush(self, status: int) -> None:
        for urb in list(self.urbs):
            urb.received.clear()
            urb.answer(status)


class InQueue(DeviceEndpoint):
    """IN: gives the packets that the device has queued; NAK while there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[bytes] = deque()

    @property
    def waiting_bytes(self) -> int:
        """What has been queued and not yet been fetched."""
        return sum(map(len, self.waiting))

    def push(self, data: bytes, *, zero: bool = False) -> None:
        """Queue a transfer; with `zero` an empty packet ends it where its last one is full."""
        size = self.max_packet or len(data) or 1
        self.waiting.extend(data[at : at + size] for at in range(0, len(data), size))
        if not data or (zero and len(data) % size == 0):
            self.waiting.append(b"")
        self.work()

    def push_packet(self, packet: bytes) -> None:
        """Queue one packet of any size: a longer one than the endpoint's is babble."""
        self.waiting.append(packet)
        self.work()

    def work(self) -> None:
        """Fill the URBs one after the other."""
        while self.urbs and self.waiting and not self.halted:
            urb, packet = self.urbs[0], self.waiting.popleft()
            room = urb.length - len(urb.received)
            urb.received += packet[:room]
            if len(packet) > room:
                urb.answer(-errno.EOVERFLOW)
            elif len(packet) < self.max_packet or len(packet) == room:
                urb.answer()
            self.taken()

    def taken(self) -> None:
        """A packet was fetched."""

    def end(self) -> None:
        """What was not fetched is stale."""
        self.waiting.clear()


def counting(offset: int, length: int) -> bytes:
    """Bytes that count modulo 63, as the kernel's gadget zero pours them out (pattern 1)."""
    return bytes(at % 63 for at in range(offset, offset + length))


class Source(DeviceEndpoint):
    """IN: an endless stream of full packets, or one of `stall_after` bytes and then a halt."""

    def __init__(
        self, stream: Callable[[int, int], bytes] = counting, *, stall_after: int | None = None
    ) -> None:
        super().__init__()
        self.stream = stream
        self.stall_after = stall_after
        self.offset = 0

    def work(self) -> None:
        """Fill every URB; what is left of the last one before the halt is lost, as on a bus."""
        while self.urbs and not self.halted:
            urb = self.urbs[0]
            if self.stall_after is not None and self.offset + urb.length > self.stall_after:
                self.offset, self.stall_after = self.stall_after, None
                self.halt()
                return
            urb.received += self.stream(self.offset, urb.length)
            self.offset += urb.length
            urb.answer()


class Sink(DeviceEndpoint):
    """OUT: takes everything, or `stall_after` bytes and then halts.

    `received` are the bytes (the first `KEPT_BYTES`), `packets` their sizes, `total` their count.
    """

    def __init__(self, *, stall_after: int | None = None) -> None:
        super().__init__()
        self.stall_after = stall_after
        self.received = bytearray()
        self.packets: deque[int] = deque(maxlen=100_000)
        self.total = 0

    def work(self) -> None:
        """Take packet after packet."""
        while self.urbs and not self.halted:
            urb, taken = self.urbs[0], 0
            for packet in urb.packets(self.max_packet):
                if self.stall_after is not None and self.total + len(packet) > self.stall_after:
                    self.stall_after = None
                    urb.answer(-errno.EPIPE, actual_length=taken)
                    self.halt()
                    return
                self.take(packet)
                taken += len(packet)
            urb.answer()

    def take(self, packet: bytes) -> None:
        """One packet came."""
        self.total += len(packet)
        self.packets.append(len(packet))
        if len(self.received) < KEPT_BYTES:
            self.received += packet


class Echo(Sink):
    """OUT: gives every packet to the `InQueue` at address `to`; NAK while `capacity` bytes wait."""

    def __init__(self, to: int, *, capacity: int = 1 << 20) -> None:
        super().__init__()
        self.to = to
        self.capacity = capacity

    @property
    def target(self) -> InQueue:
        """Where it comes out again."""
        target = self.device.endpoints[self.to]
        assert isinstance(target, InQueue)
        return target

    def work(self) -> None:
        """Take while there is room, and look again soon when there is none."""
        if self.target.waiting_bytes > self.capacity:
            if self.urbs:
                self.loop.call_later(0.005, self.work)
            return
        super().work()

    def take(self, packet: bytes) -> None:
        """Pass the packet on as the packet that it is."""
        super().take(packet)
        self.target.push_packet(packet)


class Reporter(InQueue):
    """Interrupt IN: `report(n)` every `period_s` seconds; at 0 whenever somebody asks.

    A report that nobody fetches waits; the next ones are not made before it is gone.
    """

    def __init__(self, report: Callable[[int], bytes], *, period_s: float, count: int = -1) -> None:
        super().__init__()
        self.report = report
        self.period_s = period_s
        self.count = count
        self.made = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The clock starts when the endpoint is enabled."""
        if self.period_s:
            self._timer = self.loop.call_later(self.period_s, self._tick)

    def end(self) -> None:
        """And stops when it is not any more."""
        super().end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def work(self) -> None:
        """Make reports on demand where there is no clock."""
        super().work()
        while self.period_s == 0 and self.urbs and self.made != self.count and not self.halted:
            self._make()

    def _tick(self) -> None:
        if not self.waiting and self.made != self.count:
            self._make()
        self.begin()

    def _make(self) -> None:
        self.waiting.append(self.report(self.made))
        self.made += 1
        InQueue.work(self)


class Isochronous(DeviceEndpoint):
    """Isochronous: full packets in, anything out, at the pace of one packet a `period_s`."""

    def __init__(self, *, period_s: float = 0.001) -> None:
        super().__init__()
        self.period_s = period_s
        self.total = 0
        self._free_at = 0.0

    def work(self) -> None:
        """Answer each URB when its last packet has had its turn."""
        urb = self.urbs[-1]
        start = max(self.loop.time(), self._free_at)
        self._free_at = start + self.period_s * len(urb.submit.iso_packets)
        self.loop.call_at(self._free_at, self._complete, urb)

    def _complete(self, urb: Urb) -> None:
        if urb.done:
            return
        packets = []
        for offset, length, _, _ in urb.submit.iso_packets:
            size = min(length, self.max_packet)
            packets.append(IsoPacketDescriptor(offset, length, size, 0))
            if urb.is_in:
                urb.received += counting(self.total, size)
            self.total += size
        urb.answer(iso_packets=tuple(packets))
