"""libusb transfers, made once and used again.

A transfer has a buffer of its own for what the device sends; buffers come in powers of two, so that
the same few serve for all that a driver does again and again. Data for the device is not copied
into it, unless there is little: libusb reads it from where the message left it. What the device has
sent is not copied out either: the answer is sent from the buffer, and then the transfer may be used
again (`recycle`).

The theory of isochronous transfers is USB/IP's: a packet descriptor's `offset` is the packet's
place in the client's buffer. usbfs lays packets back to back, so data for the device is brought
into that form if it is not, and data from the device is in the form in which USB/IP wants it but
for the gaps that short packets leave, which are closed.
"""

import ctypes
import errno
from typing import Any, Final, TypeAlias

from gadgetip.server.userspace.library import MAX_CONTROL_BYTES, STATUSES
from gadgetip.server.userspace.urb import IN, KEPT_BYTES, SMALLEST_BYTES, Urb, buffer_bytes
from gadgetip.usb import TransferType
from gadgetip.wire import IsoPacketDescriptor, Payload

SETUP_BYTES: Final = 8

_ADD_ZERO_PACKET: Final = 8  # LIBUSB_TRANSFER_ADD_ZERO_PACKET
_CONTROL: Final = TransferType.CONTROL
_ISOCHRONOUS: Final = TransferType.ISOCHRONOUS


Key: TypeAlias = tuple[int, TransferType, int]
"""Endpoint, its type, and size of the buffer: what stays the same when a transfer is used again."""


class Transfer:
    """A libusb_transfer with a buffer of `size` bytes, and the URB that it carries now."""

    __slots__ = (
        "address",
        "adds_zero_packet",
        "buffer",
        "fields",
        "key",
        "pointer",
        "size",
        "urb",
        "view",
        "where",
    )

    def __init__(self, libusb: Any, packets: int, size: int) -> None:
        self.pointer = libusb.libusb_alloc_transfer(packets)
        if not self.pointer:
            raise MemoryError
        self.fields = self.pointer.contents
        self.address = ctypes.addressof(self.fields)
        self.size = size
        self.buffer = (ctypes.c_ubyte * size)()
        self.where = ctypes.addressof(self.buffer)
        self.view = memoryview(self.buffer).cast("B")
        self.urb: Urb | None = None
        self.adds_zero_packet = False
        self.key: Key | None = None
        """What it can be used again for; None: for nothing."""


class TransferPool:
    """The transfers of one device."""

    def __init__(self, libusb: Any, handle: Any) -> None:
        self._libusb = libusb
        self._handle = handle
        self._submit = libusb.libusb_submit_transfer
        self._in_flight: dict[int, Transfer] = {}  # by the address of the libusb_transfer
        self._finished: list[Transfer] = []
        self._free: dict[Key, list[Transfer]] = {}
        self.kept_bytes = 0
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._callback = prototype(self._completed)
        self._callback_field = ctypes.cast(self._callback, libusb.libusb_transfer_cb_fn_p)

    def submit(self, urb: Urb) -> int:
        """Begin a transfer; libusb's result."""
        kind = urb.type
        length = urb.length
        if kind is _ISOCHRONOUS:
            transfer = self._isochronous(urb)
        elif kind is _CONTROL:
            length = min(length, MAX_CONTROL_BYTES) + SETUP_BYTES
            transfer = self._take(urb, length)
            transfer.view[:SETUP_BYTES] = urb.setup
            if urb.data:
                transfer.view[SETUP_BYTES:length] = urb.data
            transfer.fields.length = length
        else:
            if urb.address & IN:
                transfer = self._take(urb, length or 1)
            elif length <= SMALLEST_BYTES:  # copying is cheaper than asking where it lies
                transfer = self._take(urb, length or 1)
                transfer.view[:length] = urb.data
            else:
                transfer = self._take(urb, 0)
                transfer.fields.buffer = _where(urb.data)
            if urb.add_zero_packet is not transfer.adds_zero_packet:
                transfer.adds_zero_packet = urb.add_zero_packet
                transfer.fields.flags = _ADD_ZERO_PACKET if urb.add_zero_packet else 0
            transfer.fields.length = length
        transfer.urb = urb
        urb.transfer = transfer
        self._in_flight[transfer.address] = transfer
        result: int = self._submit(transfer.pointer)
        if result:
            del self._in_flight[transfer.address]
            urb.transfer = None
            self._give_back(transfer)
        return result

    def cancel(self, urb: Urb) -> None:
        """Ask that a transfer end; one that has ended already is not disturbed."""
        transfer = urb.transfer
        if isinstance(transfer, Transfer) and transfer.address in self._in_flight:
            self._libusb.libusb_cancel_transfer(transfer.pointer)

    def take_finished(self) -> list[Urb]:
        """The URBs whose transfers libusb has called back for, filled in."""
        if not self._finished:
            return []
        finished, self._finished = self._finished, []
        return [_fill_in(transfer) for transfer in finished]

    def recycle(self, urbs: list[Urb]) -> None:
        """Use the transfers of these URBs again; `received` is not valid any more."""
        for urb in urbs:
            transfer = urb.transfer
            if isinstance(transfer, Transfer):
                urb.transfer = None
                urb.received = b""
                self._give_back(transfer)

    def close(self) -> None:
        """Free what is kept.

        A transfer that libusb has not given back is left to it, with its buffer: that memory is
        lost then, but not used by two.
        """
        for transfers in self._free.values():
            for transfer in transfers:
                self._libusb.libusb_free_transfer(transfer.pointer)
        self._free.clear()
        if self._in_flight:
            _ABANDONED.append((self._in_flight, self._callback))

    def _completed(self, address: int) -> None:
        transfer = self._in_flight.pop(address, None)
        if transfer is not None:
            self._finished.append(transfer)

    def _take(self, urb: Urb, length: int) -> Transfer:
        """A transfer of this endpoint with room for `length` bytes.

        With room for none it has nothing to point at; those are kept apart, for what they point at
        is whatever was sent last.
        """
        size = buffer_bytes(length) if length else 0
        key = (urb.address, urb.type, size)
        free = self._free.get(key)
        if free:
            self.kept_bytes -= size
            return free.pop()
        transfer = self._make(urb, 0, size)
        transfer.key = key
        return transfer

    def _make(self, urb: Urb, packets: int, size: int) -> Transfer:
        transfer = Transfer(self._libusb, packets, size)
        fields = transfer.fields
        fields.dev_handle = self._handle
        fields.callback = self._callback_field
        fields.endpoint = urb.address if urb.type is not _CONTROL else urb.address & 0x0F
        fields.type = urb.type
        fields.buffer = transfer.where
        return transfer

    def _give_back(self, transfer: Transfer) -> None:
        transfer.urb = None
        key = transfer.key
        if key is not None and self.kept_bytes + transfer.size <= KEPT_BYTES:
            self.kept_bytes += transfer.size
            self._free.setdefault(key, []).append(transfer)
        else:
            self._libusb.libusb_free_transfer(transfer.pointer)

    def _isochronous(self, urb: Urb) -> Transfer:
        packets = urb.packets
        length = sum(packet.length for packet in packets)
        transfer = self._make(urb, len(packets), length)
        if not urb.address & IN:
            at = 0
            for offset, size, _, _ in packets:
                transfer.view[at : at + size] = urb.data[offset : offset + size]
                at += size
        fields = transfer.fields
        fields.length = length
        fields.num_iso_packets = len(packets)
        for descriptor, packet in zip(_iso_fields(transfer), packets, strict=True):
            descriptor.length = packet.length
        return transfer


_ABANDONED: Final[list[Any]] = []  # what libusb still may write to or call


def _iso_fields(transfer: Transfer) -> Any:
    """The array behind the end of the structure."""
    fields = transfer.fields
    kind = type(fields.iso_packet_desc) * fields.num_iso_packets
    return kind.from_address(transfer.address + type(fields).iso_packet_desc.offset)


def _fill_in(transfer: Transfer) -> Urb:
    """What became of a transfer."""
    urb = transfer.urb
    assert urb is not None
    fields = transfer.fields
    urb.status = _status(fields.status)
    if urb.type is _ISOCHRONOUS:
        _fill_in_isochronous(urb, transfer)
        return urb
    actual: int = fields.actual_length
    urb.actual_length = actual
    if urb.address & IN:
        if urb.type is _CONTROL:
            if urb.length > MAX_CONTROL_BYTES <= actual:
                urb.status = -errno.EOVERFLOW  # there is more than libusb lets us ask for
            urb.received = transfer.view[SETUP_BYTES : SETUP_BYTES + actual]
        else:
            urb.received = transfer.view[:actual]
        # Told here and not to libusb, which would only say "error".
        if urb.short_not_ok and not urb.status and actual < urb.length:
            urb.status = -errno.EREMOTEIO
    return urb


def _fill_in_isochronous(urb: Urb, transfer: Transfer) -> None:
    packets = []
    pieces: list[Payload] = []
    at = 0
    for packet, result in zip(urb.packets, _iso_fields(transfer), strict=True):
        actual = result.actual_length
        status = -errno.EXDEV if result.status == 1 else _status(result.status)
        packets.append(IsoPacketDescriptor(packet.offset, packet.length, actual, status))
        if urb.address & IN and actual:
            pieces.append(transfer.view[at : at + actual])
        at += packet.length
    urb.packets = tuple(packets)
    urb.actual_length = sum(packet.actual_length for packet in packets)
    urb.received = b"".join(pieces)


def _status(number: int) -> int:
    return STATUSES[number] if 0 <= number < len(STATUSES) else -errno.EPROTO


def _where(data: Payload) -> int:
    """The address of what the message brought, which lives as long as the URB."""
    assert isinstance(data, bytes)
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
