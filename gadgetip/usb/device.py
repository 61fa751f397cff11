"""The whole device: what the program knows about one before it decides anything.

Linux keeps the descriptors of every device in the sysfs file `descriptors`: the device descriptor
of 18 bytes, then each configuration, back to back, with nothing in between to tell where one ends
but its own wTotalLength. That file is the form in which whole devices are stored and compared
(the strings and the BOS are not in it).
"""

from dataclasses import dataclass, field

from gadgetip.errors import LocalProtocolError
from gadgetip.usb.descriptors import DeviceDescriptor
from gadgetip.usb.fault import DescriptorError, Fault
from gadgetip.usb.speed import Speed
from gadgetip.usb.strings import StringTable
from gadgetip.usb.tree import (
    Configuration,
    build_configuration,
    parse_configuration,
    parse_header,
)

_LONGEST = 0xFF  # bytes of one descriptor, for bLength is one byte


@dataclass(frozen=True, slots=True)
class DeviceTree:
    """A device's descriptors, at the speed at which it gave them."""

    device: DeviceDescriptor
    configurations: tuple[Configuration, ...]
    strings: StringTable = field(default_factory=StringTable)
    speed: Speed = Speed.UNKNOWN
    bos: bytes = b""  # the binary object store (USB 3.2 §9.6.2), uninterpreted
    ms_os_vendor_code: int | None = None  # of its Microsoft OS 1.0 string, if it has one
    qualifier: bytes | None = None  # its device qualifier, empty if refused; None: nobody asked

    def configuration(self, value: int) -> Configuration:
        """The configuration that SET_CONFIGURATION calls `value`."""
        for configuration in self.configurations:
            if configuration.value == value:
                return configuration
        raise LocalProtocolError(f"the device has no configuration {value}")


def parse_device_file(
    data: bytes,
    *,
    strings: StringTable | None = None,
    speed: Speed = Speed.UNKNOWN,
    bos: bytes = b"",
) -> DeviceTree:
    """Read a sysfs `descriptors` file; what is not in that file may be given beside it."""
    device = DeviceDescriptor.unpack(data[: DeviceDescriptor.SIZE])
    configurations: list[Configuration] = []
    at = len(device.data)
    while at < len(data):
        if len(configurations) == device.bNumConfigurations:
            problem = f"the data goes on behind that many, at byte {at}"
            raise _count_error(device, problem)
        try:
            total = parse_header(data[at : at + _LONGEST]).wTotalLength
            configurations.append(parse_configuration(data[at : at + total]))
        except DescriptorError as error:
            raise DescriptorError(error.fault.moved(at)) from None
        at += total
    if len(configurations) != device.bNumConfigurations:
        raise _count_error(device, f"the device has {len(configurations)}")
    return DeviceTree(device, tuple(configurations), strings or StringTable(), speed, bos)


def build_device_file(tree: DeviceTree) -> bytes:
    """The sysfs `descriptors` file of a device; the inverse of `parse_device_file`."""
    if tree.device.bNumConfigurations != len(tree.configurations):
        raise LocalProtocolError(
            f"bNumConfigurations is {tree.device.bNumConfigurations}, "
            f"the tree has {len(tree.configurations)}"
        )
    return tree.device.data + b"".join(map(build_configuration, tree.configurations))


def _count_error(device: DeviceDescriptor, problem: str) -> DescriptorError:
    count = device.bNumConfigurations
    return DescriptorError(Fault(device.name, 0, "bNumConfigurations", count, problem))
