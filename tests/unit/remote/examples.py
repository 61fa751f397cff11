"""Devices that a server exports."""

from dataclasses import replace

from gadgetip.usb import DeviceTree
from gadgetip.wire import DeviceRecord, InterfaceRecord
from tests.unit.gadget.devices import DEVICE, HS_STICK, NAMES, device, stick, strings

from .server import Exported


def record(busid: str, tree: DeviceTree, *, interfaces: bool = False) -> DeviceRecord:
    descriptor = tree.device
    listed = [s.descriptor for c in tree.configurations for s in c.settings]
    return DeviceRecord(
        path=f"/sys/devices/{busid}",
        busid=busid,
        busnum=1,
        devnum=int(busid.rpartition("-")[2]),
        speed=int(tree.speed),
        idVendor=descriptor.idVendor,
        idProduct=descriptor.idProduct,
        bcdDevice=descriptor.bcdDevice,
        bDeviceClass=descriptor.bDeviceClass,
        bDeviceSubClass=descriptor.bDeviceSubClass,
        bDeviceProtocol=descriptor.bDeviceProtocol,
        bConfigurationValue=0,
        bNumConfigurations=len(tree.configurations),
        bNumInterfaces=len(listed) if interfaces else 0,
        interfaces=tuple(
            InterfaceRecord(i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
            for i in listed
            if interfaces
        ),
    )


def exported(busid: str, tree: DeviceTree = HS_STICK, *, interfaces: bool = False) -> Exported:
    return Exported(record(busid, tree, interfaces=interfaces), tree)


def with_serial(serial: str) -> DeviceTree:
    return device(stick(), texts=strings({**NAMES, 3: serial}))


def as_read(tree: DeviceTree) -> DeviceTree:
    """The tree that a reader gets: this device was asked for a qualifier and has none."""
    return replace(tree, qualifier=b"")


OTHER = replace(device(stick()), device=DEVICE.replace(idVendor=0x046D, idProduct=0xC31C))
