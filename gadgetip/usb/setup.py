"""Setup packets: the eight bytes that open every control transfer (USB 2.0 §9.3).

    bmRequestType  bRequest  wValue  wIndex  wLength        little-endian, as everything in USB
    D7    direction of the data stage, IN when set
    D6..5 whose vocabulary bRequest is from: the standard's, the class's, the vendor's
    D4..0 whom it is for: the device, an interface, an endpoint, something else

A setup packet is forwarded as it came, so nothing here refuses one for its meaning: reserved
values have members too. Only what we make ourselves is checked. The constructors are the
requests that gadgetip sends on its own account; everything else is the host's and passes through.
"""

import struct
from dataclasses import astuple, dataclass
from enum import IntEnum

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.usb.transfer import Direction

_LAYOUT = struct.Struct("<BBHHH")


class RequestType(IntEnum):
    """Whose request it is (bmRequestType bits 6..5)."""

    STANDARD = 0
    CLASS = 1
    VENDOR = 2
    RESERVED = 3


class Recipient(IntEnum):
    """Whom a request is for (bmRequestType bits 4..0; USB 3.2 §9.3 adds the vendor's own)."""

    DEVICE = 0
    INTERFACE = 1
    ENDPOINT = 2
    OTHER = 3
    RESERVED = 4  # stands for all of 4 to 30
    VENDOR_SPECIFIC = 31


class StandardRequest(IntEnum):
    """bRequest of the standard requests (USB 2.0 table 9-4, USB 3.2 table 9-5)."""

    GET_STATUS = 0
    CLEAR_FEATURE = 1
    SET_FEATURE = 3
    SET_ADDRESS = 5
    GET_DESCRIPTOR = 6
    SET_DESCRIPTOR = 7
    GET_CONFIGURATION = 8
    SET_CONFIGURATION = 9
    GET_INTERFACE = 10
    SET_INTERFACE = 11
    SYNCH_FRAME = 12
    SET_ENCRYPTION = 13
    GET_ENCRYPTION = 14
    SET_SEL = 48
    SET_ISOCH_DELAY = 49


class DescriptorType(IntEnum):
    """bDescriptorType: USB 2.0 table 9-5, USB 3.2 table 9-6, and the class-specific range.

    0x21 is the first class-specific number and means what the interface's class says: HID here,
    but CCID and DFU use it too. Never conclude from it alone.
    """

    DEVICE = 0x01
    CONFIGURATION = 0x02
    STRING = 0x03
    INTERFACE = 0x04
    ENDPOINT = 0x05
    DEVICE_QUALIFIER = 0x06
    OTHER_SPEED_CONFIGURATION = 0x07
    INTERFACE_POWER = 0x08
    OTG = 0x09
    DEBUG = 0x0A
    INTERFACE_ASSOCIATION = 0x0B
    SECURITY = 0x0C
    BOS = 0x0F
    DEVICE_CAPABILITY = 0x10
    HID = 0x21
    HID_REPORT = 0x22
    HID_PHYSICAL = 0x23
    CS_INTERFACE = 0x24
    CS_ENDPOINT = 0x25
    HUB = 0x29
    SUPERSPEED_HUB = 0x2A
    ENDPOINT_COMPANION = 0x30
    ISOCHRONOUS_ENDPOINT_COMPANION = 0x31


class Feature(IntEnum):
    """wValue of SET_FEATURE and CLEAR_FEATURE (USB 2.0 table 9-6, USB 3.2 table 9-7).

    Selector 0 is ENDPOINT_HALT for an endpoint and FUNCTION_SUSPEND for an interface; USB 3
    reused the number, so only the recipient tells them apart.
    """

    ENDPOINT_HALT = 0
    DEVICE_REMOTE_WAKEUP = 1
    TEST_MODE = 2
    U1_ENABLE = 48
    U2_ENABLE = 49
    LTM_ENABLE = 50


class HubFeature(IntEnum):
    """wValue of a hub's port requests (USB 2.0 table 11-17); their numbers overlap `Feature`."""

    PORT_RESET = 4


@dataclass(frozen=True, slots=True)
class SetupPacket:
    """One setup packet, by the specification's field names."""

    bmRequestType: int
    bRequest: int
    wValue: int
    wIndex: int
    wLength: int

    def __post_init__(self) -> None:
        limits = (0xFF, 0xFF, 0xFFFF, 0xFFFF, 0xFFFF)
        if not all(0 <= value <= limit for value, limit in zip(astuple(self), limits, strict=True)):
            raise LocalProtocolError(f"a field does not fit its bytes: {self!r}")

    def pack(self) -> bytes:
        """The eight bytes."""
        return _LAYOUT.pack(
            self.bmRequestType, self.bRequest, self.wValue, self.wIndex, self.wLength
        )

    @classmethod
    def unpack(cls, data: bytes) -> "SetupPacket":
        """The setup packet in exactly eight bytes."""
        if len(data) != _LAYOUT.size:
            raise RemoteProtocolError(f"setup packet of {len(data)} bytes: it has 8")
        return cls(*_LAYOUT.unpack(data))

    @property
    def direction(self) -> Direction:
        """What bit 7 says; without a data stage devices must ignore it (USB 2.0 §9.3.1)."""
        return Direction(self.bmRequestType >> 7)

    @property
    def data_direction(self) -> Direction | None:
        """The direction of the data stage, None when there is none."""
        return self.direction if self.wLength else None

    @property
    def type(self) -> RequestType:
        """Whose request it is."""
        return RequestType(self.bmRequestType >> 5 & 0b11)

    @property
    def recipient(self) -> Recipient:
        """Whom it is for; all reserved numbers are `Recipient.RESERVED`."""
        number = self.bmRequestType & 0b11111
        return Recipient(number) if number in _RECIPIENTS else Recipient.RESERVED

    def __str__(self) -> str:
        parts = [self.direction.name, self.type.name.lower(), self.recipient.name.lower()]
        parts += [self._request_text(), f"wIndex=0x{self.wIndex:04x}", f"wLength={self.wLength}"]
        return " ".join(parts)

    def _request_text(self) -> str:
        """The request and its value: by name where the standard defines both."""
        value = f"wValue=0x{self.wValue:04x}"
        if self.type is not RequestType.STANDARD or self.bRequest not in _REQUESTS:
            return f"request 0x{self.bRequest:02x} {value}"
        request = StandardRequest(self.bRequest)
        descriptor, index = self.wValue >> 8, self.wValue & 0xFF
        if request in _DESCRIPTOR_REQUESTS and descriptor in _DESCRIPTOR_TYPES:
            return f"{request.name} {DescriptorType(descriptor).name} {index}"
        if request in _FEATURE_REQUESTS and self.wValue in _FEATURES:
            function = self.recipient is Recipient.INTERFACE and self.wValue == 0
            name = "FUNCTION_SUSPEND" if function else Feature(self.wValue).name
            return f"{request.name} {name}"
        return f"{request.name} {value}"

    @classmethod
    def get_descriptor(
        cls, descriptor_type: int, index: int = 0, langid: int = 0, length: int = 0xFF
    ) -> "SetupPacket":
        """Ask the device for a descriptor (USB 2.0 §9.4.3); `langid` only for strings."""
        value = descriptor_type << 8 | index
        return cls(0x80, StandardRequest.GET_DESCRIPTOR, value, langid, length)

    @classmethod
    def get_configuration(cls) -> "SetupPacket":
        """Ask for the current bConfigurationValue, one byte (USB 2.0 §9.4.2)."""
        return cls(0x80, StandardRequest.GET_CONFIGURATION, 0, 0, 1)

    @classmethod
    def set_configuration(cls, value: int) -> "SetupPacket":
        """Select a configuration by its bConfigurationValue (USB 2.0 §9.4.7)."""
        return cls(0x00, StandardRequest.SET_CONFIGURATION, value, 0, 0)

    @classmethod
    def set_interface(cls, interface: int, alternate: int) -> "SetupPacket":
        """Select an alternate setting of an interface (USB 2.0 §9.4.10)."""
        return cls(0x01, StandardRequest.SET_INTERFACE, alternate, interface, 0)

    @classmethod
    def clear_halt(cls, address: int) -> "SetupPacket":
        """Clear an endpoint's halt, and with it its data toggle (USB 2.0 §9.4.1, §9.4.5)."""
        return cls(0x02, StandardRequest.CLEAR_FEATURE, Feature.ENDPOINT_HALT, address, 0)

    @classmethod
    def port_reset(cls) -> "SetupPacket":
        """The request by which a USB/IP stub resets the device.

        It is a hub's "reset this port" (USB 2.0 §11.24.2.13), sent to a device that is no hub:
        the kernel's stub recognises the type, the request and the value, resets the device
        itself and forwards nothing. It does not look at the port number in wIndex.
        """
        return cls(0x23, StandardRequest.SET_FEATURE, HubFeature.PORT_RESET, 0, 0)


_RECIPIENTS = frozenset(Recipient)
_REQUESTS = frozenset(StandardRequest)
_DESCRIPTOR_TYPES = frozenset(DescriptorType)
_FEATURES = frozenset(Feature)
_DESCRIPTOR_REQUESTS = (StandardRequest.GET_DESCRIPTOR, StandardRequest.SET_DESCRIPTOR)
_FEATURE_REQUESTS = (StandardRequest.SET_FEATURE, StandardRequest.CLEAR_FEATURE)
