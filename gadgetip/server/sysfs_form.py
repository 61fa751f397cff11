"""From what sysfs says about a device to a `LocalDevice`; without reading anything.

Attributes are texts of the kernel's: numbers are hexadecimal or decimal as each file has it
(drivers/usb/core/sysfs.c), strings are the device's own and may hold anything. What a device cannot
be told without (its numbers, its ids) must be there; the rest may be missing.

A device without a configuration has no interfaces in sysfs: one that usbip-host has been bound to,
one that is not authorized, one that was plugged in a moment ago. What it is for stands in its
descriptors all the same, so the interfaces of its first configuration are taken from there; lists
and rules by class would else see nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gadgetip.server.hardware_database import KnownNames
from gadgetip.server.local_device import LocalDevice, LocalInterface
from gadgetip.usb import DescriptorType, Speed

DEVICE_ATTRIBUTES = (
    "busnum",
    "devnum",
    "speed",
    "idVendor",
    "idProduct",
    "bcdDevice",
    "bDeviceClass",
    "bDeviceSubClass",
    "bDeviceProtocol",
    "bConfigurationValue",
    "bNumConfigurations",
    "serial",
    "manufacturer",
    "product",
    "usbip_status",
)
INTERFACE_ATTRIBUTES = (
    "bInterfaceNumber",
    "bInterfaceClass",
    "bInterfaceSubClass",
    "bInterfaceProtocol",
)

_DEVICE_BYTES, _CONFIGURATION_BYTES, _INTERFACE_BYTES = 18, 9, 9  # the standard's sizes

Attributes = Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class SysfsInterface:
    """One interface's directory: its attributes, and the driver that has it."""

    attributes: Attributes
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class SysfsDevice:
    """One device's directory; `descriptors` is the file of that name."""

    busid: str
    path: str
    attributes: Attributes
    driver: str | None = None
    interfaces: tuple[SysfsInterface, ...] = ()
    descriptors: bytes = field(default=b"", repr=False)


def local_device(device: SysfsDevice, names: KnownNames) -> LocalDevice | None:
    """The device as data; None for what lacks an attribute that every device has."""
    attributes = device.attributes
    try:
        return LocalDevice(
            busid=device.busid,
            busnum=_number(attributes, "busnum", 10),
            devnum=_number(attributes, "devnum", 10),
            speed=Speed.from_sysfs(_text(attributes, "speed") or ""),
            idVendor=_number(attributes, "idVendor"),
            idProduct=_number(attributes, "idProduct"),
            bcdDevice=_number(attributes, "bcdDevice"),
            bDeviceClass=_number(attributes, "bDeviceClass"),
            bDeviceSubClass=_number(attributes, "bDeviceSubClass"),
            bDeviceProtocol=_number(attributes, "bDeviceProtocol"),
            # An empty line without a configuration.
            bConfigurationValue=int((_text(attributes, "bConfigurationValue") or "").strip() or 0),
            bNumConfigurations=_number(attributes, "bNumConfigurations", 10),
            interfaces=_interfaces(device),
            serial=_text(attributes, "serial"),
            manufacturer=_text(attributes, "manufacturer"),
            product=_text(attributes, "product"),
            vendor_name=names.vendor,
            product_name=names.product,
            driver=device.driver,
            stub_status=_stub_status(device),
            path=device.path,
        )
    except ValueError:
        return None


def interfaces_in(descriptors: bytes) -> tuple[LocalInterface, ...]:
    """The interfaces of the first configuration in a `descriptors` file, in their first setting.

    Lenient, unlike `usb.parse_configuration`: the device is here and has a right to be listed,
    however odd its descriptors are. Reading ends at the first one that makes no sense.
    """
    at = _DEVICE_BYTES
    head = descriptors[at : at + _CONFIGURATION_BYTES]
    if len(head) < _CONFIGURATION_BYTES or head[1] != DescriptorType.CONFIGURATION:
        return ()
    end = min(at + int.from_bytes(head[2:4], "little"), len(descriptors))
    found: dict[int, LocalInterface] = {}
    while at + 2 <= end:
        length, kind = descriptors[at], descriptors[at + 1]
        if length < 2 or at + length > end:
            break
        if kind == DescriptorType.INTERFACE and length >= _INTERFACE_BYTES:
            number, setting = descriptors[at + 2], descriptors[at + 3]
            triple = descriptors[at + 5 : at + 8]
            if setting == 0:
                found.setdefault(number, LocalInterface(number, *triple))
        at += length
    return tuple(found[number] for number in sorted(found))


def _interfaces(device: SysfsDevice) -> tuple[LocalInterface, ...]:
    found = []
    for interface in device.interfaces:
        try:
            number, code, subclass, protocol = (
                _number(interface.attributes, name) for name in INTERFACE_ATTRIBUTES
            )
        except ValueError:
            continue  # it went while it was read
        found.append(LocalInterface(number, code, subclass, protocol, interface.driver))
    found.sort(key=lambda interface: interface.bInterfaceNumber)
    return tuple(found) or interfaces_in(device.descriptors)


def _stub_status(device: SysfsDevice) -> int | None:
    text = _text(device.attributes, "usbip_status")
    return int(text) if device.driver == "usbip-host" and text and text.isdecimal() else None


def _number(attributes: Attributes, name: str, base: int = 16) -> int:
    return int(_text(attributes, name) or "", base)


def _text(attributes: Attributes, name: str) -> str | None:
    """The attribute's text; what is not UTF-8 in it is replaced, and none is None."""
    return (attributes.get(name) or b"").decode("utf-8", "replace").rstrip("\n") or None
