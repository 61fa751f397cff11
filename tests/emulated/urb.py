"""One URB at the server: waiting at an endpoint, then answered exactly once, or taken back."""

import errno
from collections.abc import Callable
from typing import Protocol

from gadgetip.wire import CmdSubmit, Direction, IsoPacketDescriptor, RetSubmit, TransferFlag
from tests.emulated.journal import UrbEntry


class Queue(Protocol):
    """Where a URB waits."""

    def forget(self, urb: "Urb") -> None:
        """The URB does not wait here any more."""


class Urb:
    """A CMD_SUBMIT on its way through a device."""

    def __init__(
        self, submit: CmdSubmit, entry: UrbEntry, on_answer: Callable[["Urb", RetSubmit], None]
    ) -> None:
        self.submit = submit
        self.entry = entry
        self.received = bytearray()
        """What an IN transfer has got so far."""
        self.queue: Queue | None = None
        self.done = False
        self._on_answer = on_answer

    @property
    def is_in(self) -> bool:
        """Whether data flows to the client."""
        return self.submit.direction is Direction.IN

    @property
    def length(self) -> int:
        """transfer_buffer_length, in bytes."""
        return self.submit.transfer_buffer_length

    def packets(self, max_packet: int) -> list[bytes]:
        """The packets of an OUT transfer; the last is empty where the client asked for that."""
        data = bytes(self.submit.data)
        cut = [data[at : at + max_packet] for at in range(0, len(data), max_packet)]
        wants_zero = bool(self.submit.transfer_flags & TransferFlag.ZERO_PACKET)
        if not data or (wants_zero and len(data) % max_packet == 0):
            cut.append(b"")
        return cut

    def answer(
        self,
        status: int = 0,
        *,
        actual_length: int | None = None,
        iso_packets: tuple[IsoPacketDescriptor, ...] = (),
    ) -> None:
        """Complete it: with what it has received, or as taken whole. Later calls do nothing."""
        if self.done:
            return
        self._leave()
        if self.is_in:
            actual_length = len(self.received)
        elif actual_length is None:
            actual_length = self.length if status == 0 else 0
        self.entry.status = status
        self.entry.actual_length = actual_length
        if self.entry.setup is not None:
            self.entry.answer = bytes(self.received)
        number_of_packets = len(iso_packets) or min(self.submit.number_of_packets, 0)
        self._on_answer(
            self,
            RetSubmit(
                seqnum=self.submit.seqnum,
                status=status,
                actual_length=actual_length,
                start_frame=self.submit.start_frame,
                number_of_packets=number_of_packets,
                data=bytes(self.received),
                iso_packets=iso_packets,
            ),
        )

    def take_back(self) -> None:
        """Unlink it: nothing is answered, and what it has received is lost as in the kernel."""
        self._leave()
        self.entry.status = -errno.ECONNRESET
        self.entry.unlinked = True

    def _leave(self) -> None:
        self.done = True
        if self.queue is not None:
            self.queue.forget(self)
            self.queue = None
