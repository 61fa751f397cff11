"""Descriptors: the records in which a device describes itself (USB 2.0 §9.5, §9.6).

Every one begins with its length and its type; what follows depends on the type. A replica must
show the host what the device showed us, down to reserved bits and bytes that the specification
has never heard of. So a descriptor here *is* its bytes, and its fields are views of them:

    >>> EndpointDescriptor.unpack(bytes.fromhex("07 05 81 02 0002 00")).wMaxPacketSize
    512

There is nothing to get out of step, unknown types and descriptors longer than the standard's
(an audio endpoint has 9 bytes) keep everything, and `replace` is the one way to a changed one.

This file knows the shape of single descriptors. How they make up a configuration is in `tree`,
what they must not say in `rules`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self, overload

from gadgetip.errors import LocalProtocolError
from gadgetip.usb.fault import DescriptorError, Fault
from gadgetip.usb.setup import DescriptorType
from gadgetip.usb.speed import Speed
from gadgetip.usb.transfer import Direction, TransferType

HEADER_SIZE = 2  # bLength and bDescriptorType


class Field:
    """A little-endian number at a fixed place in a descriptor's bytes."""

    __slots__ = ("offset", "size")

    def __init__(self, offset: int, size: int = 1) -> None:
        self.offset = offset
        self.size = size

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: "Descriptor", owner: type) -> int: ...
    def __get__(self, instance: "Descriptor | None", owner: type) -> Self | int:
        if instance is None:
            return self
        return int.from_bytes(instance.data[self.offset : self.offset + self.size], "little")


@dataclass(frozen=True, repr=False)
class Descriptor:
    """Any descriptor, as its bytes; the class for types that have no class of their own."""

    # Not @dataclass(slots=True): that makes a second class and registers the subclasses' fields
    # with the first. Subclasses declare empty slots and add views, never state.
    __slots__ = ("data",)

    data: bytes

    TYPE: ClassVar[int | None] = None
    SIZE: ClassVar[int] = HEADER_SIZE  # the standard's; more is kept, less is refused
    FIELDS: ClassVar[dict[str, Field]] = {}  # by name, without the header's

    bLength = Field(0)
    bDescriptorType = Field(1)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.FIELDS = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}

    def __post_init__(self) -> None:
        if fault := self._fault(self.data, 0):
            raise LocalProtocolError(str(fault))

    def __repr__(self) -> str:
        if self.TYPE is None:
            return f"{type(self).__name__}({self.data.hex()})"
        fields = [f"{name}={getattr(self, name)}" for name in self.FIELDS]
        if rest := self.data[self.SIZE :]:
            fields.append(f"rest={rest.hex()}")
        return f"{type(self).__name__}({', '.join(fields)})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        # Frozen and slotted, it could be neither pickled nor deep-copied attribute by attribute.
        return type(self), (self.data,)

    @property
    def name(self) -> str:
        """The type in words: "endpoint companion"."""
        return descriptor_name(self.bDescriptorType)

    @classmethod
    def unpack(cls, data: bytes, *, at: int = 0) -> Self:
        """The descriptor that is exactly these bytes; `at` is where an error says they were."""
        if fault := cls._fault(data, at):
            raise DescriptorError(fault)
        return cls(data)

    @classmethod
    def new(cls, **fields: int) -> Self:
        """A descriptor of the standard's size; fields that are not given are 0."""
        if cls.TYPE is None:
            raise LocalProtocolError(f"{cls.__name__} has no type of its own to make one of")
        return cls(bytes((cls.SIZE, cls.TYPE)) + bytes(cls.SIZE - HEADER_SIZE)).replace(**fields)

    def replace(self, **fields: int) -> Self:
        """The same descriptor with these fields changed, and every other byte kept."""
        data = bytearray(self.data)
        for name, value in fields.items():
            field = self.FIELDS.get(name)
            if field is None:
                raise LocalProtocolError(f"{type(self).__name__} has no field {name!r} to change")
            if not 0 <= value < 1 << 8 * field.size:
                raise LocalProtocolError(f"{name} {value} does not fit {field.size} byte(s)")
            data[field.offset : field.offset + field.size] = value.to_bytes(field.size, "little")
        return type(self)(bytes(data))

    @classmethod
    def _fault(cls, data: bytes, at: int) -> Fault | None:
        """What makes these bytes no descriptor of this class."""
        if len(data) < HEADER_SIZE:
            problem = f"a descriptor has at least {HEADER_SIZE} bytes"
            return Fault(descriptor_name(cls.TYPE), at, "length", len(data), problem)
        length, kind = data[0], data[1]
        if cls.TYPE is not None and kind != cls.TYPE:
            problem = f"should be 0x{cls.TYPE:02x}"
            return Fault(descriptor_name(cls.TYPE), at, "bDescriptorType", kind, problem)
        if length < cls.SIZE:
            problem = f"should be at least {cls.SIZE}"
        elif length != len(data):
            problem = f"there are {len(data)} bytes"
        else:
            return None
        return Fault(descriptor_name(kind), at, "bLength", length, problem)


class DeviceDescriptor(Descriptor):
    """The device as a whole (USB 2.0 §9.6.1, USB 3.2 §9.6.1)."""

    __slots__ = ()
    TYPE = DescriptorType.DEVICE
    SIZE = 18

    bcdUSB = Field(2, 2)
    bDeviceClass = Field(4)
    bDeviceSubClass = Field(5)
    bDeviceProtocol = Field(6)
    bMaxPacketSize0 = Field(7)
    idVendor = Field(8, 2)
    idProduct = Field(10, 2)
    bcdDevice = Field(12, 2)
    iManufacturer = Field(14)
    iProduct = Field(15)
    iSerialNumber = Field(16)
    bNumConfigurations = Field(17)

    @property
    def max_packet0(self) -> int:
        """The packet size of endpoint 0 in bytes.

        At SuperSpeed the field is an exponent and always 9; no slower device may say 9.
        """
        return 512 if self.bMaxPacketSize0 == 9 else self.bMaxPacketSize0


class ConfigurationDescriptor(Descriptor):
    """The head of a configuration (USB 2.0 §9.6.3)."""

    __slots__ = ()
    TYPE = DescriptorType.CONFIGURATION
    SIZE = 9

    wTotalLength = Field(2, 2)
    bNumInterfaces = Field(4)
    bConfigurationValue = Field(5)
    iConfiguration = Field(6)
    bmAttributes = Field(7)
    bMaxPower = Field(8)

    @property
    def self_powered(self) -> bool:
        """Whether the device has a supply of its own (bmAttributes bit 6)."""
        return bool(self.bmAttributes & 0x40)

    @property
    def remote_wakeup(self) -> bool:
        """Whether the device can wake the host (bmAttributes bit 5)."""
        return bool(self.bmAttributes & 0x20)

    def max_power_ma(self, speed: Speed) -> int:
        """The current it may draw: bMaxPower counts 2 mA, 8 mA at SuperSpeed (USB 3.2 §9.6.3)."""
        return self.bMaxPower * (8 if speed >= Speed.SUPER else 2)


class InterfaceDescriptor(Descriptor):
    """One alternate setting of an interface (USB 2.0 §9.6.5)."""

    __slots__ = ()
    TYPE = DescriptorType.INTERFACE
    SIZE = 9

    bInterfaceNumber = Field(2)
    bAlternateSetting = Field(3)
    bNumEndpoints = Field(4)
    bInterfaceClass = Field(5)
    bInterfaceSubClass = Field(6)
    bInterfaceProtocol = Field(7)
    iInterface = Field(8)

    @property
    def class_triple(self) -> tuple[int, int, int]:
        """Class, subclass and protocol, as `class_name` and `class_code` take them."""
        return self.bInterfaceClass, self.bInterfaceSubClass, self.bInterfaceProtocol


class EndpointDescriptor(Descriptor):
    """One endpoint other than 0 (USB 2.0 §9.6.6); 9 bytes in audio 1.0 (§4.6.1.1 there)."""

    __slots__ = ()
    TYPE = DescriptorType.ENDPOINT
    SIZE = 7

    bEndpointAddress = Field(2)
    bmAttributes = Field(3)
    wMaxPacketSize = Field(4, 2)
    bInterval = Field(6)

    @property
    def number(self) -> int:
        """The endpoint number, 1 to 15."""
        return self.bEndpointAddress & 0x0F

    @property
    def direction(self) -> Direction:
        """The direction of its data; says nothing for a control endpoint."""
        return Direction(self.bEndpointAddress >> 7)

    @property
    def transfer_type(self) -> TransferType:
        """How it moves data."""
        return TransferType(self.bmAttributes & 0b11)

    @property
    def max_packet(self) -> int:
        """The largest packet in bytes (wMaxPacketSize bits 10..0)."""
        return self.wMaxPacketSize & 0x07FF

    @property
    def transactions_per_microframe(self) -> int:
        """Packets a microframe, for periodic endpoints at high speed (bits 12..11, plus one).

        1 to 3; the reserved encoding counts as 4, which is how Linux reads it.
        """
        return 1 + (self.wMaxPacketSize >> 11 & 0b11)


class EndpointCompanionDescriptor(Descriptor):
    """What SuperSpeed adds to the endpoint in front of it (USB 3.2 §9.6.7)."""

    __slots__ = ()
    TYPE = DescriptorType.ENDPOINT_COMPANION
    SIZE = 6

    bMaxBurst = Field(2)
    bmAttributes = Field(3)
    wBytesPerInterval = Field(4, 2)


class InterfaceAssociationDescriptor(Descriptor):
    """Which consecutive interfaces are one function (USB 3.2 §9.6.4, IAD engineering change)."""

    __slots__ = ()
    TYPE = DescriptorType.INTERFACE_ASSOCIATION
    SIZE = 8

    bFirstInterface = Field(2)
    bInterfaceCount = Field(3)
    bFunctionClass = Field(4)
    bFunctionSubClass = Field(5)
    bFunctionProtocol = Field(6)
    iFunction = Field(7)

    @property
    def class_triple(self) -> tuple[int, int, int]:
        """Class, subclass and protocol of the function."""
        return self.bFunctionClass, self.bFunctionSubClass, self.bFunctionProtocol

    @property
    def interfaces(self) -> range:
        """The numbers of the interfaces that it joins."""
        return range(self.bFirstInterface, self.bFirstInterface + self.bInterfaceCount)


def descriptor_name(descriptor_type: int | None) -> str:
    """A descriptor type in words: "interface association", "unknown (0x41)"."""
    if descriptor_type is None:
        return "unknown"
    try:
        return DescriptorType(descriptor_type).name.lower().replace("_", " ")
    except ValueError:
        return f"unknown (0x{descriptor_type:02x})"
