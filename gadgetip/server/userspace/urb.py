"""One transfer on its way through the stub, and what a device must be able to do with it.

Between session and device errors are the kernel's: 0 or a negative errno, because that is what the
client gets to see and what its drivers decide by (Documentation/driver-api/usb/error-codes.rst).
"""

import errno
from collections.abc import Collection
from typing import Final, Protocol

from gadgetip.errors import GadgetipError
from gadgetip.usb import TransferType
from gadgetip.wire import IsoPacketDescriptor, Payload

IN = 0x80
"""The direction bit of bEndpointAddress and bmRequestType."""


SMALLEST_BYTES: Final = 512
"""The smallest buffer of a transfer."""

KEPT_BYTES: Final = 2 << 20
"""How much an idle device keeps in buffers."""


class DeviceLostError(GadgetipError):
    """The device is not there any more, or not as the same device; its session has to end."""


class Urb:
    """A transfer: what the client asks for, and what became of it.

    `address` is bEndpointAddress, with the direction of the data stage for a control transfer;
    `length` is in bytes, without the setup packet. The device fills in `status` (0 or -errno),
    `actual_length`, `received` (IN; what is not there yet when `recycle` is called must have been
    copied) and for isochronous ones `packets`.
    """

    # Defaults live in the class: a transfer is made for every message, and most need few of them.
    setup: bytes = b""
    packets: tuple[IsoPacketDescriptor, ...] = ()
    number_of_packets = 0  # echoed as it came: 0 and -1 both say "not isochronous"
    add_zero_packet = False
    short_not_ok = False
    cost = 0  # bytes of the client's allowance
    device_bytes = 0  # bytes of this machine's memory for transfers, while the device has it
    is_quick = False  # came by the short way: the connection has not heard of it
    unlink_seqnum: int | None = None  # the CMD_UNLINK that asked for its end
    flushed = False  # taken from the device because its endpoint goes away
    status = 0
    actual_length = 0
    received: Payload = b""
    transfer: object = None  # the device's own

    def __init__(
        self,
        seqnum: int,
        address: int,
        transfer_type: TransferType,
        length: int,
        data: Payload = b"",
    ) -> None:
        self.seqnum = seqnum
        self.address = address
        self.type = transfer_type
        self.length = length
        self.data = data


def contradiction(urb: Urb, number_of_packets: int) -> int:
    """What the kernel says to a URB that contradicts itself (core/urb.c); 0 if it does not."""
    if urb.type is TransferType.CONTROL:
        if int.from_bytes(urb.setup[6:8], "little") != urb.length:
            return -errno.EBADR
        # The kernel only warns, but then one side waits for data and the other one sends none.
        if urb.length and (urb.setup[0] ^ urb.address) & IN:
            return -errno.EINVAL
    if (urb.type is TransferType.ISOCHRONOUS) != (number_of_packets > 0):
        return -errno.EINVAL
    # Packets that lie on one another: each is within the buffer, but all of them may need a
    # thousand times as much.
    if sum(packet.length for packet in urb.packets) > urb.length:
        return -errno.EINVAL
    return 0


def buffer_bytes(length: int) -> int:
    """How large a buffer is taken for so much data: a power of two, if it may be used again."""
    if length <= SMALLEST_BYTES:
        return SMALLEST_BYTES
    return 1 << (length - 1).bit_length() if length <= KEPT_BYTES else length


class UsbDevice(Protocol):
    """What a session asks of a device. All of it is called from the session's one thread."""

    def transfer_type(self, address: int) -> TransferType | None:
        """The type of an endpoint in the present configuration and settings; None: not there."""

    def addresses(self, interface: int | None = None) -> Collection[int]:
        """The endpoints of one interface's present setting, or all; never endpoint 0."""

    def submit(self, urb: Urb) -> int:
        """Begin a transfer; 0, or -errno if it could not begin. Keeps the order per endpoint."""

    def cancel(self, urb: Urb) -> None:
        """Ask that a submitted transfer end soon; it is among `finished` then, as any other."""

    def finished(self, limit_s: float) -> list[Urb]:
        """The transfers that have ended, after waiting up to `limit_s` seconds for the first."""

    def recycle(self, urbs: list[Urb]) -> None:
        """Take back what `received` of these lies in."""

    def clear_halt(self, address: int) -> int:
        """Clear an endpoint's halt and both sides' data toggle; 0 or -errno."""

    def set_interface(self, interface: int, alternate: int) -> int:
        """Choose an alternate setting; 0 or -errno. Nothing is in flight on its endpoints."""

    def set_configuration(self, value: int) -> int:
        """Choose a configuration; 0 or -errno. Nothing is in flight but on endpoint 0.

        Raises `DeviceLostError` when this machine has lost the device over it.
        """

    def reset(self) -> int:
        """Reset the port; 0 or -errno. Nothing is in flight. Raises `DeviceLostError`."""

    @property
    def is_lost(self) -> bool:
        """Whether the device was found to be gone."""
