"""A device that does what a test tells it: in libusb's place behind a session.

A submitted transfer stays `pending` until the test ends it with `complete`, or the session cancels
it; with `late` it refuses to be cancelled, as one does whose end is on its way already.
"""

import errno
import os
import select
from collections.abc import Collection

from gadgetip.server.userspace.urb import IN, DeviceLostError, Urb
from gadgetip.usb import TransferType
from gadgetip.wire import Payload

BULK_IN, BULK_OUT, INTERRUPT_IN, ISO_IN, ISO_OUT = 0x81, 0x02, 0x83, 0x84, 0x05

TYPES = {
    BULK_IN: TransferType.BULK,
    BULK_OUT: TransferType.BULK,
    INTERRUPT_IN: TransferType.INTERRUPT,
    ISO_IN: TransferType.ISOCHRONOUS,
    ISO_OUT: TransferType.ISOCHRONOUS,
}
INTERFACES = {0: (BULK_IN, BULK_OUT), 1: (INTERRUPT_IN, ISO_IN, ISO_OUT)}


class ScriptedDevice:
    """A `PolledDevice` with an endpoint of each kind; `journal` is what was asked of it."""

    def __init__(self) -> None:
        self.types = dict(TYPES)
        self.pending: list[Urb] = []
        self.ended: list[Urb] = []
        self.journal: list[str] = []
        self.refusals: list[int] = []  # what the next submits give instead of 0
        self.answers: dict[str, int] = {}  # what a request gives, by its name in the journal
        self.late: set[int] = set()  # seqnums of transfers that do not let themselves be cancelled
        self.recycled = 0
        self.loses_itself = False
        self.is_lost = False
        self.breaks: Exception | None = None  # what `restore` raises
        self._event = os.eventfd(0, os.EFD_NONBLOCK)

    def close(self) -> None:
        """Close what a poll waits for."""
        os.close(self._event)

    def complete(self, urb: Urb, status: int = 0, data: Payload | None = None) -> None:
        """End a transfer; IN without `data` is all zeroes, OUT takes everything."""
        self.pending.remove(urb)
        urb.status = status
        if urb.type is TransferType.ISOCHRONOUS:
            self._complete_packets(urb)
        elif urb.address & IN:
            urb.received = bytes(urb.length) if data is None else data
            urb.actual_length = len(urb.received)
        else:
            urb.actual_length = urb.length if not status else 0
        self.ended.append(urb)
        os.eventfd_write(self._event, 1)

    def _complete_packets(self, urb: Urb) -> None:
        """Every packet is one byte short, the second failed."""
        if urb.status:
            return
        packets = []
        for number, packet in enumerate(urb.packets):
            actual = max(packet.length - 1, 0) if number != 1 else 0
            status = 0 if number != 1 else -errno.EXDEV
            packets.append(packet._replace(actual_length=actual, status=status))
        urb.packets = tuple(packets)
        urb.actual_length = sum(packet.actual_length for packet in packets)
        if urb.address & IN:
            urb.received = bytes(urb.actual_length)

    def transfer_type(self, address: int) -> TransferType | None:
        return self.types.get(address)

    def addresses(self, interface: int | None = None) -> Collection[int]:
        return self.types if interface is None else INTERFACES.get(interface, ())

    def submit(self, urb: Urb) -> int:
        if self.refusals and (status := self.refusals.pop(0)):
            return status
        self.pending.append(urb)
        return 0

    def cancel(self, urb: Urb) -> None:
        if urb in self.pending and urb.seqnum not in self.late:
            self.complete(urb, -errno.ECONNRESET, b"")

    def finished(self, limit_s: float) -> list[Urb]:
        if limit_s and not self.ended and self.pending:
            for urb in list(self.pending):
                self.complete(urb)
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            assert not self.ended
        ended, self.ended = self.ended, []
        return ended

    def recycle(self, urbs: list[Urb]) -> None:
        self.recycled += len(urbs)

    def clear_halt(self, address: int) -> int:
        return self._note(f"clear_halt {address:#x}")

    def set_interface(self, interface: int, alternate: int) -> int:
        return self._note(f"set_interface {interface} {alternate}")

    def set_configuration(self, value: int) -> int:
        return self._note(f"set_configuration {value}")

    def reset(self) -> int:
        if self.loses_itself:
            self.is_lost = True
            raise DeviceLostError("it did not come back")
        return self._note("reset")

    @property
    def files(self) -> list[tuple[int, int]]:
        return [(self._event, select.POLLIN)]

    def note_events(self, events: int) -> None:
        self.journal.append("events")

    def unplug(self) -> None:
        """Take it away: what is pending ends, and a poll shows it."""
        self.is_lost = True
        for urb in list(self.pending):
            self.complete(urb, -errno.ESHUTDOWN, b"")
        os.eventfd_write(self._event, 1)

    def lose(self) -> None:
        self.is_lost = True

    def restore(self) -> None:
        self.journal.append("restore")
        if self.breaks:
            raise self.breaks

    def _note(self, request: str) -> int:
        self.journal.append(request)
        return self.answers.get(request, 0)
