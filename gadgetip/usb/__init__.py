"""USB's own vocabulary: descriptors, setup packets, speeds, classes, strings. No I/O.

A replica is as good as its descriptors. What the host sees of a device before any driver talks to
it is this tree: a device descriptor, its configurations, their interfaces with alternate
settings, the endpoints of each, and between them whatever the class and the vendor added. Three
promises are made here and relied on everywhere else:

* **Every byte is kept.** `build_configuration(parse_configuration(data)) == data` for every
  well-formed configuration, with unknown descriptors and overlong ones in their places. Objects
  hold the bytes, and fields are views of them (`descriptors`).
* **Nothing malformed gets in.** The device is at the other end of a network. Lengths, counts,
  addresses and packet sizes that contradict each other are refused with one `DescriptorError`
  that names the descriptor, its offset, the field and the value (`rules`); what misleads
  nobody, and real devices do, is let through.
* **The specification's names.** `wMaxPacketSize`, `bEndpointAddress`, `iSerialNumber` are the
  names of attributes, so that code, `lsusb -v` and the specification are read side by side.
  Names that are not the specification's (`max_packet`, `number`) are what it means by them.

Everything is immutable; an edit makes a new tree. Who edits a tree is the planner, which has to
fit a device onto a controller that is not quite like it.
"""

from gadgetip.usb.classes import DeviceClass, class_code, class_name
from gadgetip.usb.descriptors import (
    ConfigurationDescriptor,
    Descriptor,
    DeviceDescriptor,
    EndpointCompanionDescriptor,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    descriptor_name,
)
from gadgetip.usb.device import DeviceTree, build_device_file, parse_device_file
from gadgetip.usb.fault import DescriptorError, Fault
from gadgetip.usb.hid_report import InputReports
from gadgetip.usb.inference import infer_speed, string_indices, with_placeholder_strings
from gadgetip.usb.mass_storage import BULK_ONLY_TRANSPORT, speaks_bulk_only
from gadgetip.usb.ms_os import MS_OS_STRING_BYTES, MS_OS_STRING_INDEX, parse_ms_os_string
from gadgetip.usb.setup import (
    DescriptorType,
    Feature,
    HubFeature,
    Recipient,
    RequestType,
    SetupPacket,
    StandardRequest,
)
from gadgetip.usb.speed import Speed
from gadgetip.usb.strings import (
    US_ENGLISH,
    StringTable,
    build_langids,
    build_string_descriptor,
    parse_langids,
    parse_string_descriptor,
    printable,
)
from gadgetip.usb.transfer import Direction, TransferType
from gadgetip.usb.tree import (
    AlternateSetting,
    Configuration,
    Endpoint,
    build_configuration,
    parse_configuration,
    parse_header,
)

__all__ = [
    "BULK_ONLY_TRANSPORT",
    "MS_OS_STRING_BYTES",
    "MS_OS_STRING_INDEX",
    "US_ENGLISH",
    "AlternateSetting",
    "Configuration",
    "ConfigurationDescriptor",
    "Descriptor",
    "DescriptorError",
    "DescriptorType",
    "DeviceClass",
    "DeviceDescriptor",
    "DeviceTree",
    "Direction",
    "Endpoint",
    "EndpointCompanionDescriptor",
    "EndpointDescriptor",
    "Fault",
    "Feature",
    "HubFeature",
    "InputReports",
    "InterfaceAssociationDescriptor",
    "InterfaceDescriptor",
    "Recipient",
    "RequestType",
    "SetupPacket",
    "Speed",
    "StandardRequest",
    "StringTable",
    "TransferType",
    "build_configuration",
    "build_device_file",
    "build_langids",
    "build_string_descriptor",
    "class_code",
    "class_name",
    "descriptor_name",
    "infer_speed",
    "parse_configuration",
    "parse_device_file",
    "parse_header",
    "parse_langids",
    "parse_ms_os_string",
    "parse_string_descriptor",
    "printable",
    "speaks_bulk_only",
    "string_indices",
    "with_placeholder_strings",
]
