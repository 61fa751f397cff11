"""What is known of a device, in the words in which people name devices.

Sources differ in what they tell. USB/IP's lists have neither a serial number nor names, and leave
out the interfaces of a device that is unconfigured; a device's descriptors do not know its port.
What a source does not tell is None, which is not the same as "the device has none": no match may
take the one for the other.
"""

from dataclasses import dataclass, replace

from gadgetip.usb import DeviceTree, class_code
from gadgetip.wire import DeviceRecord


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device. None is "not known", except where it says otherwise."""

    busid: str | None = None
    """The port path at the server ("1-1.4"), or the name that it is published as."""
    id: str | None = None
    """VID:PID in lower case, "0781:5581"."""
    serial: str | None = None
    """"" for a device that has none."""
    names: tuple[str, ...] | None = None
    """The product's name alone, and behind the manufacturer's; () for a device that has none."""
    classes: tuple[str, ...] | None = None
    """The device's class and those of its interfaces, "08/06/50"."""
    classes_are_all: bool = True
    """Whether the device has no other class than these."""


def facts_of_record(record: DeviceRecord) -> DeviceFacts:
    """What an entry of a server's list tells.

    The interfaces of a device that is unconfigured, as one is that the stock tools bound, are not
    listed, so a device without interfaces may be of any class besides its own.
    """
    classes = [class_code(record.bDeviceClass, record.bDeviceSubClass, record.bDeviceProtocol)]
    classes += [
        class_code(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
        for i in record.interfaces
    ]
    return DeviceFacts(
        busid=record.busid,
        id=f"{record.idVendor:04x}:{record.idProduct:04x}",
        classes=tuple(dict.fromkeys(classes)),
        classes_are_all=bool(record.interfaces),
    )


def facts_of_tree(tree: DeviceTree, busid: str | None = None) -> DeviceFacts:
    """What a device itself tells; `busid` is where it was found."""
    device, strings = tree.device, tree.strings
    product = (strings.get(device.iProduct) or "") if device.iProduct else ""
    maker = (strings.get(device.iManufacturer) or "") if device.iManufacturer else ""
    names = (product, f"{maker} {product}".strip())
    classes = [class_code(device.bDeviceClass, device.bDeviceSubClass, device.bDeviceProtocol)]
    classes += [
        class_code(
            setting.descriptor.bInterfaceClass,
            setting.descriptor.bInterfaceSubClass,
            setting.descriptor.bInterfaceProtocol,
        )
        for configuration in tree.configurations
        for setting in configuration.settings
    ]
    return DeviceFacts(
        busid=busid,
        id=f"{device.idVendor:04x}:{device.idProduct:04x}",
        serial=(strings.get(device.iSerialNumber) or "") if device.iSerialNumber else "",
        names=tuple(dict.fromkeys(filter(None, names))),
        classes=tuple(dict.fromkeys(classes)),
    )


def facts_of_descriptors(tree: DeviceTree) -> DeviceFacts:
    """What a file of descriptors tells, which has no strings: names and serial are not known."""
    facts = facts_of_tree(tree)
    named = tree.device.iProduct or tree.device.iManufacturer
    return replace(
        facts,
        serial=None if tree.device.iSerialNumber else "",
        names=None if named else (),
    )
