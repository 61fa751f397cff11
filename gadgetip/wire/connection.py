"""What both ends of a USB/IP stream have in common.

A connection is a state machine without a socket. Whoever owns the stream gives it what was
received and asks what that means, tells it what is to be sent and gets the bytes:

    connection.receive_data(stream.recv(65536))      # or receive_eof() at the end
    while (event := connection.next_event()) is not NEED_DATA:
        ...
    stream.sendall(connection.send(message))

Call `next_event` until it gives `NEED_DATA` before more is received; then no more is held than one
message and what one `recv` gave. A message may be cut anywhere.

Two ways to receive: in pieces of any size, as above, where a payload is copied once; or never
more than `wanted`, where no payload is copied and no byte beyond the present step is taken out of
the stream. The second way matters when the stream is to be handed to the kernel, or to another
process, after an import.

A `RemoteProtocolError` is final: a stream whose lengths cannot be believed has no next message.
"""

from abc import ABC, abstractmethod
from enum import Enum
from typing import Final, Generic, Self, TypeVar

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.wire.constants import DEFAULT_MAX_TRANSFER_BYTES
from gadgetip.wire.layout import ISO_PACKET_BYTES, OP_COMMON, URB_HEADER_BYTES
from gadgetip.wire.ledger import Ledger
from gadgetip.wire.messages import ConnectionClosed, IsoPacketDescriptor, Payload
from gadgetip.wire.parse import Need, Reader, parse_iso_packets
from gadgetip.wire.phases import Phase, Trigger, next_phase
from gadgetip.wire.receive_buffer import ReceiveBuffer
from gadgetip.wire.rules import Violation


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return self.value


NEED_DATA: Final = NeedData.NEED_DATA
"""No whole message is here; receive more and ask again."""

# How much a peer may send before it is its turn. Nobody has to speak early, but a client's first
# URBs may arrive together with its OP_REQ_IMPORT.
_EARLY_BYTES: Final = 4096

_CLOSED: Final = ConnectionClosed()
HEADER_NEED: Final = (URB_HEADER_BYTES, "the header of a URB message")
_OP_NEED: Final = (OP_COMMON.size, "the header of an operation")

_Sent_contra = TypeVar("_Sent_contra", contravariant=True)
_Received_co = TypeVar("_Received_co", covariant=True)


class Connection(ABC, Generic[_Sent_contra, _Received_co]):
    """One end of a stream; `ClientConnection` and `ServerConnection` are the two ends."""

    def __init__(self, *, max_transfer_bytes: int = DEFAULT_MAX_TRANSFER_BYTES) -> None:
        self._max_transfer_bytes = max_transfer_bytes
        self._phase = Phase.IDLE
        self._buffer = ReceiveBuffer()
        self._ledger = Ledger()
        self._reader: Reader[_Received_co] | None = None
        self._need: Need = _OP_NEED
        self._inside = False  # is part of a message taken out of the buffer already?
        self._eof = False
        self._error = ""
        self._devid = 0

    @classmethod
    def after_import(
        cls, devid: int, *, max_transfer_bytes: int = DEFAULT_MAX_TRANSFER_BYTES
    ) -> Self:
        """Begin in the URB phase, on a stream over which the device was imported before."""
        connection = cls(max_transfer_bytes=max_transfer_bytes)
        connection._enter_urb_phase(devid)
        return connection

    @property
    def phase(self) -> Phase:
        """Where this connection is in its life."""
        return self._phase

    @property
    def devid(self) -> int:
        """The imported device's number, which every URB carries."""
        return self._devid

    @property
    def pending(self) -> int:
        """How many submits have not been answered."""
        return self._ledger.pending

    @property
    def pending_unlinks(self) -> int:
        """How many unlinks have not been answered."""
        return self._ledger.pending_unlinks

    @property
    def tombstones(self) -> int:
        """How many submits, though their unlink was answered with 0, may still be answered."""
        return self._ledger.tombstones

    @property
    def wanted(self) -> int:
        """How many more bytes complete the present step: a header, a record or a whole body.

        Ask after `NEED_DATA`. It is never 0, because a `recv` of 0 looks like the end.
        """
        return max(self._need[0] - len(self._buffer), 1)

    @property
    def buffered(self) -> int:
        """How many bytes have been received and not yet been understood."""
        return len(self._buffer)

    def take_trailing_data(self) -> bytes:
        """Take what was received beyond the last message, to hand the stream to someone else."""
        return self._buffer.take_all()

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Give what was received. `bytes` is kept by reference, anything else is copied."""
        if self._eof:
            raise LocalProtocolError("data was received after the end of the stream")
        if self._phase is not Phase.ERROR:
            self._buffer.add(data)

    def receive_eof(self) -> None:
        """Tell that the peer has ended the stream."""
        self._eof = True

    def next_event(self) -> _Received_co | ConnectionClosed | NeedData:
        """Give the next message, `NEED_DATA`, or `ConnectionClosed` at the end.

        Raises `RemoteProtocolError`, and raises it again whenever it is asked again.
        """
        try:
            if self._phase is Phase.URB:
                return self._next_urb()
            return self._next_op()
        except Violation as violation:
            self._error = str(violation)
            self._move(Trigger.PROTOCOL_ERROR)
            self._buffer.take_all()
            raise RemoteProtocolError(self._error) from None

    def send(self, message: _Sent_contra) -> bytes:
        """Give the bytes of `message`, and note that it is sent."""
        return b"".join(self.send_parts(message))

    def send_parts(self, message: _Sent_contra) -> tuple[Payload, ...]:
        """Like `send`, with header and payload apart, for `socket.sendmsg`; copies no payload."""
        try:
            return self._send(message)
        except Violation as violation:
            raise LocalProtocolError(str(violation)) from None

    @abstractmethod
    def _send(self, message: _Sent_contra) -> tuple[Payload, ...]:
        """Check `message` against the state, note it, and build it."""

    @abstractmethod
    def _next_urb(self) -> _Received_co | ConnectionClosed | NeedData:
        """Give the next message of the URB phase."""

    @abstractmethod
    def _start_reader(self) -> Reader[_Received_co] | None:
        """Give the reader for what the peer says in this phase; None if it is not its turn."""

    @abstractmethod
    def _note_received(self, message: object) -> None:
        """Note a message of the operation phase."""

    def _enter_urb_phase(self, devid: int) -> None:
        """Begin with URBs: the import was granted, here or before this object was made."""
        self._phase = Phase.URB
        self._devid = devid
        self._need = HEADER_NEED

    def _move(self, trigger: Trigger) -> None:
        self._phase = next_phase(self._phase, trigger)

    def _next_op(self) -> _Received_co | ConnectionClosed | NeedData:
        if self._phase is Phase.ERROR:
            raise RemoteProtocolError(self._error)
        if self._reader is None:
            self._reader = self._start_reader()
            if self._reader is None:
                return self._wait_for_our_turn()
            self._need = next(self._reader)
        while (raw := self._buffer.take(self._need[0])) is not None:
            try:
                self._need = self._reader.send(raw)
                self._inside = True
            except StopIteration as stop:
                message: _Received_co = stop.value
                self._reader = None
                self._inside = False
                self._need = _OP_NEED
                self._note_received(message)
                return message
        return self._starve()

    def _wait_for_our_turn(self) -> ConnectionClosed | NeedData:
        early = len(self._buffer)
        if early > (_EARLY_BYTES if self._phase is Phase.IMPORT else 0):
            raise Violation(f"{early} bytes came that nobody asked for, {self._phase.value}")
        return self._close() if self._eof else NEED_DATA

    def _starve(self) -> ConnectionClosed | NeedData:
        """Say why there is no message: not yet, never again, or never the rest of it."""
        if not self._eof:
            return NEED_DATA
        if not self._inside and not len(self._buffer):
            return self._close()
        need, what = self._need
        raise Violation(f"the stream ended inside {what}: {len(self._buffer)} of {need} bytes")

    def _close(self) -> ConnectionClosed:
        self._move(Trigger.END_OF_STREAM)
        self._buffer.take_all()
        return _CLOSED

    def _take_body(
        self, data_bytes: int, iso_count: int
    ) -> tuple[bytes, tuple[IsoPacketDescriptor, ...]] | None:
        """Take a submit's data and packet descriptors once all of it is here."""
        if not iso_count:
            data = self._buffer.take(data_bytes)
            return None if data is None else (data, ())
        iso_bytes = iso_count * ISO_PACKET_BYTES
        if len(self._buffer) < data_bytes + iso_bytes:
            return None
        data = self._buffer.take(data_bytes) or b""
        return data, parse_iso_packets(self._buffer.take(iso_bytes) or b"")
