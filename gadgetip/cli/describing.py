"""A device in a few words."""

from gadgetip.usb import DeviceTree, printable


def describe(tree: DeviceTree) -> str:
    """A device in a few words: its names, or what it is, and its ids."""
    device, strings = tree.device, tree.strings
    names = [
        printable(text)
        for index in (device.iManufacturer, device.iProduct)
        if index and (text := strings.get(index))
    ]
    return f"{' '.join(names) or 'device'} ({device.idVendor:04x}:{device.idProduct:04x})"
