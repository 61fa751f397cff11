"""What a file of descriptors does not say: the speed, and the strings.

A plan needs both. The speed can be told from what only one speed allows (USB 2.0 §5.5 to §5.8): a
companion means SuperSpeed, a bulk endpoint has 512 bytes at high speed and 64 at most below, and
control packets of less than 64 bytes are no high-speed device's. Where nothing decides it is taken
for high speed from USB 2.0 on. The strings become placeholders that name their index.
"""

from dataclasses import replace

from gadgetip.usb.descriptors import InterfaceAssociationDescriptor, InterfaceDescriptor
from gadgetip.usb.device import DeviceTree
from gadgetip.usb.speed import Speed
from gadgetip.usb.strings import US_ENGLISH, StringTable
from gadgetip.usb.transfer import TransferType

_USB_2, _USB_3 = 0x0200, 0x0300
_LOW_SPEED_PACKET0 = 8
_FULL_SPEED_BULK = 64
_LOW_SPEED_INTERRUPT = 8


def infer_speed(tree: DeviceTree) -> Speed:
    """The speed at which a device most likely gave these descriptors."""
    endpoints = [
        endpoint
        for configuration in tree.configurations
        for setting in configuration.settings
        for endpoint in setting.endpoints
    ]
    if tree.device.bcdUSB >= _USB_3 and any(each.companion is not None for each in endpoints):
        return Speed.SUPER
    bulk = [
        each.descriptor.max_packet
        for each in endpoints
        if each.descriptor.transfer_type is TransferType.BULK
    ]
    if bulk:
        return Speed.FULL if max(bulk) <= _FULL_SPEED_BULK else Speed.HIGH
    if tree.device.bcdUSB < _USB_2 or tree.device.bMaxPacketSize0 < _FULL_SPEED_BULK:
        slow = tree.device.bMaxPacketSize0 == _LOW_SPEED_PACKET0 and all(
            each.descriptor.transfer_type is TransferType.INTERRUPT
            and each.descriptor.max_packet <= _LOW_SPEED_INTERRUPT
            for each in endpoints
        )
        return Speed.LOW if slow else Speed.FULL
    return Speed.HIGH


def with_placeholder_strings(tree: DeviceTree) -> DeviceTree:
    """The tree with a text for each string index that its descriptors name."""
    texts = {(index, US_ENGLISH): f"(string {index})" for index in string_indices(tree)}
    return replace(tree, strings=StringTable((US_ENGLISH,) if texts else (), texts))


def string_indices(tree: DeviceTree) -> list[int]:
    """Every string index that the descriptors name, the device's first, each once."""
    device = tree.device
    indices = [device.iManufacturer, device.iProduct, device.iSerialNumber]
    for configuration in tree.configurations:
        for _, descriptor in configuration.descriptors():
            if isinstance(descriptor, InterfaceDescriptor):
                indices.append(descriptor.iInterface)
            elif isinstance(descriptor, InterfaceAssociationDescriptor):
                indices.append(descriptor.iFunction)
        indices.append(configuration.descriptor.iConfiguration)
    return [index for index in dict.fromkeys(indices) if index]
