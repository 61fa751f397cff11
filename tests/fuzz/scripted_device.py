"""A USB device that does what the tape says, and checks how the stub treats it.

It may be slow, refuse, run out of memory, give transfers back late or never, and vanish. What it
insists on: transfers of an endpoint come in the client's order, nothing is in flight on an endpoint
that goes away, nothing is cancelled that it does not have, buffers come back once.
"""

import errno
from collections.abc import Collection, Mapping

from gadgetip.server.userspace.urb import DeviceLostError, Urb
from gadgetip.usb import TransferType
from tests.fuzz.draw import Draw

IN = 0x80
ENDPOINTS: Mapping[int, Mapping[int, Mapping[int, TransferType]]] = {
    0: {
        0: {0x81: TransferType.BULK, 0x02: TransferType.BULK, 0x83: TransferType.INTERRUPT},
        1: {0x81: TransferType.BULK, 0x04: TransferType.INTERRUPT},
    },
    1: {0: {}, 1: {0x85: TransferType.ISOCHRONOUS, 0x06: TransferType.ISOCHRONOUS}},
}
"""Interface, alternate setting, address, type."""

ERRORS = (-errno.EPIPE, -errno.EPROTO, -errno.EOVERFLOW, -errno.ETIMEDOUT, -errno.EILSEQ)


class Clock:
    """Time that passes only while somebody waits for the device."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


class ScriptedDevice:
    """Behind a `UrbSession`; `draw` decides what becomes of each transfer."""

    def __init__(self, draw: Draw, clock: Clock) -> None:
        self._draw = draw
        self._clock = clock
        self.settings = {0: 0, 1: 1}
        self.configuration = 1
        self.pending: list[Urb] = []
        self.cancelled: set[int] = set()
        self._buffers: dict[int, bytearray] = {}
        self._lent: set[int] = set()  # by id: urbs that are answered and not recycled
        self.lost = False
        self.hurries = False  # gives everything back when it is asked
        self.stubborn = draw.one_in(24)  # gives nothing back that was cancelled

    @property
    def is_lost(self) -> bool:
        """Whether it is gone."""
        return self.lost

    def transfer_type(self, address: int) -> TransferType | None:
        """As its settings have it now."""
        if not self.configuration:
            return None
        for interface, setting in self.settings.items():
            found = ENDPOINTS[interface][setting].get(address)
            if found is not None:
                return found
        return None

    def addresses(self, interface: int | None = None) -> Collection[int]:
        """As its settings have them now."""
        if not self.configuration:
            return ()
        wanted = self.settings if interface is None else {interface: self.settings.get(interface)}
        return [
            address
            for each, setting in wanted.items()
            if each in ENDPOINTS and setting is not None
            for address in ENDPOINTS[each][setting]
        ]

    def submit(self, urb: Urb) -> int:
        """Take it, or refuse."""
        if self.lost:
            return -errno.ENODEV
        if self._draw.one_in(20):
            return self._draw.pick((-errno.ENOMEM, -errno.ENOMEM, -errno.EINVAL, -errno.ENODEV))
        if urb.type is not TransferType.CONTROL:
            assert self.transfer_type(urb.address) is urb.type, "of an endpoint that is not there"
        assert all(urb.seqnum != each.seqnum for each in self.pending), "submitted twice"
        self.pending.append(urb)
        return 0

    def cancel(self, urb: Urb) -> None:
        """Remember that it is unwanted."""
        assert any(urb is each for each in self.pending), "cancelled what the device does not have"
        self.cancelled.add(urb.seqnum)

    def finished(self, limit_s: float) -> list[Urb]:
        """Some of what is in flight; all that is cancelled, when somebody waits for it."""
        draw = self._draw
        cancelled = [urb for urb in self.pending if urb.seqnum in self.cancelled]
        others = [urb for urb in self.pending if urb.seqnum not in self.cancelled]
        hurries = self.hurries or not draw.left
        ended = [urb for urb in others if hurries or draw.one_in(6)]
        if not self.stubborn:
            ended += [urb for urb in cancelled if hurries or draw.one_in(2)]
            if limit_s and not ended:
                ended = cancelled
        for urb in ended:
            self.pending.remove(urb)
            self._complete(urb, urb.seqnum in self.cancelled)
            self.cancelled.discard(urb.seqnum)
        if not ended and limit_s:
            self._clock.now += limit_s
        return ended

    def _complete(self, urb: Urb, is_cancelled: bool) -> None:
        draw = self._draw
        moved = urb.length
        if self.lost:
            urb.status, moved = -errno.ESHUTDOWN, 0
        elif is_cancelled:
            urb.status = -errno.ECONNRESET if not draw.one_in(4) else 0
            moved = 0 if not draw.one_in(4) else draw.integer(0, urb.length)
        elif draw.one_in(6):
            urb.status = draw.pick(ERRORS)
            moved = draw.integer(0, urb.length)
        elif draw.one_in(3):
            moved = draw.integer(0, urb.length)
        if urb.packets:
            moved = self._packets(urb)
        urb.actual_length = moved
        if urb.address & IN:
            buffer = bytearray(draw.filled(moved))
            self._buffers[id(urb)] = buffer
            urb.received = memoryview(buffer)
        self._lent.add(id(urb))

    def _packets(self, urb: Urb) -> int:
        packets = [
            p._replace(actual_length=self._draw.integer(0, p.length), status=0) for p in urb.packets
        ]
        if sum(p.actual_length for p in packets) > urb.length:
            packets = [p._replace(actual_length=0) for p in packets]
        if not urb.address & IN:
            packets = [p._replace(actual_length=0) for p in packets]
        urb.packets = tuple(packets)
        return sum(p.actual_length for p in packets)

    def recycle(self, urbs: list[Urb]) -> None:
        """Overwrite what is given back: an answer that still lies there would be seen."""
        for urb in urbs:
            self._lent.discard(id(urb))
            buffer = self._buffers.pop(id(urb), None)
            if buffer is not None:
                buffer[:] = b"\xee" * len(buffer)

    def clear_halt(self, address: int) -> int:
        """Or not."""
        return self._outcome()

    def set_interface(self, interface: int, alternate: int) -> int:
        """Or not; nothing may be in flight there."""
        self._assert_idle(self.addresses(interface))
        if interface not in ENDPOINTS or alternate not in ENDPOINTS[interface]:
            return -errno.EINVAL
        status = self._outcome()
        if not status:
            self.settings[interface] = alternate
        return status

    def set_configuration(self, value: int) -> int:
        """Or not; nothing may be in flight but control transfers."""
        self._assert_idle(self.addresses())
        if value > 1:
            return -errno.EINVAL
        status = self._outcome()
        if not status:
            self.configuration = value
            self.settings = {0: 0, 1: 0}
        return status

    def reset(self) -> int:
        """Or not; nothing may be in flight at all."""
        if not self.stubborn and not self.lost:
            assert not self.pending, "a reset while transfers are in flight"
        return self._outcome()

    def _assert_idle(self, addresses: Collection[int]) -> None:
        if not self.stubborn and not self.lost:
            assert not [urb for urb in self.pending if urb.address in addresses]

    def _outcome(self) -> int:
        if self._draw.one_in(32):
            self.lost = True
            raise DeviceLostError("the device is gone")
        if self.lost:
            return -errno.ENODEV
        return 0 if not self._draw.one_in(6) else self._draw.pick((-errno.EPIPE, -errno.EINVAL))
