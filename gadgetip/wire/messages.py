"""Every message of USB/IP as a value, with the specification's own field names.

Nothing here knows how a message looks on the wire or when it may be sent. The names of fields
are literally those of the kernel (`seqnum`, `transfer_buffer_length`) and of the USB
specification (`idVendor`, `bInterfaceClass`), so that a line of this code can be held against
either text.

Messages are immutable. Most are frozen dataclasses; the three that the data path makes for each
transfer (`CmdSubmit`, `RetSubmit`, `IsoPacketDescriptor`) are named tuples, because a frozen
dataclass of eight fields takes four times as long to make, and on a small board that is a
noticeable part of the cost of a transfer.

Sources: Documentation/usb/usbip_protocol.rst; drivers/usb/usbip/usbip_common.h (struct
usbip_header_*); tools/usb/usbip/libsrc/usbip_common.h (struct usbip_usb_device, _interface).
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from gadgetip.wire.constants import Direction, OpStatus

Payload: TypeAlias = bytes | memoryview
"""What may be sent as data without first being copied; parsers always give `bytes`."""


@dataclass(frozen=True, slots=True)
class InterfaceRecord:
    """One interface in a list of devices (struct usbip_usb_interface)."""

    bInterfaceClass: int
    bInterfaceSubClass: int
    bInterfaceProtocol: int


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What a server says of one device before it is imported (struct usbip_usb_device).

    `speed` is the kernel's enum usb_device_speed, kept as a number because servers invent values.
    `path` and `busid` never contain control characters. They may contain bytes that are not
    UTF-8, escaped as surrogates (PEP 383): print them with `errors="backslashreplace"`.
    """

    path: str
    busid: str
    busnum: int
    devnum: int
    speed: int
    idVendor: int
    idProduct: int
    bcdDevice: int
    bDeviceClass: int
    bDeviceSubClass: int
    bDeviceProtocol: int
    bConfigurationValue: int
    bNumConfigurations: int
    bNumInterfaces: int
    interfaces: tuple[InterfaceRecord, ...] = ()
    """Known from a list only: OP_REP_IMPORT counts the interfaces but does not describe them."""

    @property
    def devid(self) -> int:
        """The number by which every URB names the device (kernel: stub_dev.c)."""
        return self.busnum << 16 | self.devnum


@dataclass(frozen=True, slots=True)
class ReqDevlist:
    """OP_REQ_DEVLIST: the client asks which devices there are."""


@dataclass(frozen=True, slots=True)
class RepDevlist:
    """OP_REP_DEVLIST. A status other than OK comes without a list."""

    status: OpStatus
    devices: tuple[DeviceRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class ReqImport:
    """OP_REQ_IMPORT: the client asks for one device."""

    busid: str


@dataclass(frozen=True, slots=True)
class RepImport:
    """OP_REP_IMPORT. A status other than OK comes without a device."""

    status: OpStatus
    device: DeviceRecord | None = None


class IsoPacketDescriptor(NamedTuple):
    """One packet of an isochronous transfer (struct usbip_iso_packet_descriptor).

    `offset` is the packet's place in the transfer buffer. In the data of a RET_SUBMIT the packets
    lie one behind the other without the gaps, so the offsets do not apply there.
    """

    offset: int
    length: int
    actual_length: int = 0
    status: int = 0


class CmdSubmit(NamedTuple):
    """CMD_SUBMIT: the client asks for a transfer (struct usbip_header_cmd_submit).

    `data` is present in the OUT direction only and is then `transfer_buffer_length` long.
    `setup` counts for control endpoints, `iso_packets` for isochronous ones; there
    `number_of_packets` is their count, and otherwise it is 0 or `NOT_ISOCHRONOUS`.
    """

    seqnum: int
    devid: int
    direction: Direction
    ep: int
    transfer_flags: int = 0
    transfer_buffer_length: int = 0
    start_frame: int = 0
    number_of_packets: int = 0
    interval: int = 0
    setup: bytes = bytes(8)
    data: Payload = b""
    iso_packets: tuple[IsoPacketDescriptor, ...] = ()


class RetSubmit(NamedTuple):
    """RET_SUBMIT: how the transfer ended (struct usbip_header_ret_submit).

    `status` is 0 or a negative errno in the *server's* numbering. `actual_length` counts in both
    directions, `data` is present for IN only.
    """

    seqnum: int
    status: int
    actual_length: int
    start_frame: int = 0
    number_of_packets: int = 0
    error_count: int = 0
    data: bytes = b""
    iso_packets: tuple[IsoPacketDescriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class CmdUnlink:
    """CMD_UNLINK: the client takes a transfer back (struct usbip_header_cmd_unlink).

    `seqnum` is this message's own number, `unlink_seqnum` the unwanted submit's. The kernel's
    client leaves `direction` and `ep` zero.
    """

    seqnum: int
    devid: int
    unlink_seqnum: int
    direction: Direction = Direction.OUT
    ep: int = 0


@dataclass(frozen=True, slots=True)
class RetUnlink:
    """RET_UNLINK: what became of the unlink (struct usbip_header_ret_unlink).

    A status other than 0 (usually -ECONNRESET) says that the submit is gone and its RET_SUBMIT
    will not come. A status of 0 says that the submit had ended: its RET_SUBMIT came before, comes
    after, or is lost together with its data.
    """

    seqnum: int
    status: int


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The peer ended the stream between two messages. An event, never sent."""


OpMessage: TypeAlias = ReqDevlist | RepDevlist | ReqImport | RepImport
UrbMessage: TypeAlias = CmdSubmit | RetSubmit | CmdUnlink | RetUnlink
ClientMessage: TypeAlias = ReqDevlist | ReqImport | CmdSubmit | CmdUnlink
ServerMessage: TypeAlias = RepDevlist | RepImport | RetSubmit | RetUnlink
Message: TypeAlias = OpMessage | UrbMessage

WIRE_NAMES: Final[dict[type, str]] = {
    ReqDevlist: "OP_REQ_DEVLIST",
    RepDevlist: "OP_REP_DEVLIST",
    ReqImport: "OP_REQ_IMPORT",
    RepImport: "OP_REP_IMPORT",
    CmdSubmit: "CMD_SUBMIT",
    RetSubmit: "RET_SUBMIT",
    CmdUnlink: "CMD_UNLINK",
    RetUnlink: "RET_UNLINK",
}
"""What the protocol document calls each message; errors use these names."""
