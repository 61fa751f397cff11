"""Devices that are plugged into this machine, as values."""

from dataclasses import replace
from typing import Any

from gadgetip.server.local_device import LocalDevice, LocalInterface
from gadgetip.usb import Speed

STICK = LocalDevice(
    busid="1-1",
    busnum=1,
    devnum=2,
    speed=Speed.HIGH,
    idVendor=0x0781,
    idProduct=0x5581,
    bcdDevice=0x0100,
    bDeviceClass=0,
    bDeviceSubClass=0,
    bDeviceProtocol=0,
    bConfigurationValue=1,
    bNumConfigurations=1,
    interfaces=(LocalInterface(0, 0x08, 0x06, 0x50, "usb-storage"),),
    serial="4C53",
    manufacturer="SanDisk",
    product="Ultra",
    driver="usb",
    path="/sys/devices/pci0000:00/usb1/1-1",
)
"""A stick on port 1-1."""


def stick(busid: str, serial: str | None = "4C53", **fields: Any) -> LocalDevice:
    """Another stick, elsewhere."""
    path = fields.pop("path", f"/sys/devices/pci0000:00/usb1/{busid}")
    return replace(STICK, busid=busid, serial=serial, path=path, **fields)


KEYBOARD = replace(
    STICK,
    busid="1-2.1",
    idVendor=0x046D,
    idProduct=0xC31C,
    interfaces=(LocalInterface(0, 3, 1, 1, "usbhid"),),
    serial=None,
    manufacturer="Logitech",
    product="USB Keyboard",
    path="/sys/devices/pci0000:00/usb1/1-2/1-2.1",
)
HUB = replace(
    STICK, busid="1-2", idVendor=0x05E3, idProduct=0x0608, bDeviceClass=9, serial=None, product=None
)
ROOT_HUB = replace(HUB, busid="usb1", idVendor=0x1D6B, idProduct=2)
IMPORTED = stick("3-1", "REMOTE", path="/sys/devices/platform/vhci_hcd.0/usb3/3-1")
