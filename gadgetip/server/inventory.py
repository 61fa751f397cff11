"""What is plugged into this machine: every USB device below /sys/bus/usb/devices, hubs too.

Devices come and go while they are read. One that is not there any more when the last of it was
read, or is another one under the same name by then, is left out: a decision must not be made from
half a device. Whoever follows `Hotplug` is told of it anyway.

Nobody needs to be root, and udevd need not run.

What a device says of itself stays the same from plugging in to unplugging, and is read once: the
inode of its directory tells whether it is still the same plugging. A daemon reads the inventory at
every event, and has half a second for a bootloader.
"""

import re
import threading
from dataclasses import dataclass, replace
from functools import cache
from os.path import normpath
from pathlib import Path

import pyudev

from gadgetip.errors import PrerequisiteError
from gadgetip.server.hardware_database import KnownNames, known_names
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.sysfs_form import (
    DEVICE_ATTRIBUTES,
    INTERFACE_ATTRIBUTES,
    SysfsDevice,
    SysfsInterface,
    local_device,
)

_DEVICES = Path("/sys/bus/usb/devices")
_BUSID = re.compile(r"usb[0-9]{1,5}|[0-9]{1,5}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")
# The kernel's longest: 18 + 255 configurations of 65,535; it reads no more than 8 of them.
_DESCRIPTORS_LIMIT = 18 + 8 * 0xFFFF
_CHANGING = ("bConfigurationValue", "usbip_status")
_HUB_CLASS = b"09"
_lock = threading.Lock()  # libudev's objects count their references without one


@dataclass(frozen=True, slots=True)
class _Lasting:
    """What does not change while a device is plugged in; an unauthorized one has no strings."""

    key: tuple[int, bytes | None]
    attributes: dict[str, bytes | None]
    descriptors: bytes
    hub: LocalDevice | None = None
    """The whole, of a hub: nothing about it matters that changes, and most machines have many."""


_lasting: dict[str, _Lasting] = {}


def read_inventory() -> tuple[LocalDevice, ...]:
    """Every device that is plugged in now, in the order of the ports.

    A few milliseconds for a dozen devices. Hubs come without their interfaces' drivers.
    Raises `PrerequisiteError` where libudev is missing.
    """
    try:
        busids = [link.name for link in _DEVICES.iterdir() if _BUSID.fullmatch(link.name)]
    except OSError:
        return ()  # a kernel without USB
    with _lock:
        devices = [device for busid in busids if (device := _find(busid)) is not None]
        for path in _lasting.keys() - {device.path for device in devices}:
            del _lasting[path]
    return tuple(sorted(devices, key=_port_path))


def find_local(busid: str) -> LocalDevice | None:
    """The device that the kernel calls by this bus id now ("1-1.4"); None where there is none.

    Anything may be asked for: what no bus id looks like never becomes a path.
    """
    if not _BUSID.fullmatch(busid):
        return None
    with _lock:
        return _find(busid)


def _find(busid: str) -> LocalDevice | None:
    try:
        # Not `resolve`, which asks for every directory on the way; this is called for every hub.
        path = normpath(_DEVICES / (_DEVICES / busid).readlink())
        inode = Path(path).stat().st_ino
        known = _lasting.get(path)
        if known is not None and known.hub is not None and known.key[0] == inode:
            return known.hub
        return _read(pyudev.Devices.from_sys_path(_context(), path), inode)
    except (OSError, pyudev.DeviceNotFoundError):
        return None


@cache
def _context() -> pyudev.Context:
    # One for the process: pyudev runs ldconfig for each, to find libudev.
    try:
        return pyudev.Context()
    except ImportError:
        raise PrerequisiteError("libudev is missing: apt install libudev1") from None


def _read(device: pyudev.Device, inode: int) -> LocalDevice | None:
    path = device.sys_path
    directory = Path(path)
    key = (inode, _attribute(directory / "authorized"))
    known = _lasting.get(path)
    if known is None or known.key != key:
        known = _Lasting(key, _lasting_attributes(device), _descriptors(directory))
    is_hub = known.attributes["bDeviceClass"] == _HUB_CLASS
    changing = {name: _attribute(directory / name) for name in _CHANGING}
    found = local_device(
        SysfsDevice(
            busid=device.sys_name,
            path=path,
            attributes=known.attributes | changing,
            driver=device.driver,
            interfaces=() if is_hub else _interfaces(directory),
            descriptors=known.descriptors,
        ),
        _names(known.attributes),
    )
    if found is None or directory.stat().st_ino != inode:
        return None
    _lasting[path] = replace(known, hub=found if is_hub else None)
    return found


def _lasting_attributes(device: pyudev.Device) -> dict[str, bytes | None]:
    return {
        name: device.attributes.get(name) for name in DEVICE_ATTRIBUTES if name not in _CHANGING
    }


def _descriptors(directory: Path) -> bytes:
    # Not through libudev, whose attributes are texts that end at the first zero.
    with (directory / "descriptors").open("rb") as file:
        return file.read(_DESCRIPTORS_LIMIT)


def _interfaces(directory: Path) -> tuple[SysfsInterface, ...]:
    """The interfaces of the active configuration: directories "1-1.4:1.0" in the device's."""
    return tuple(
        SysfsInterface(
            {name: _attribute(path / name) for name in INTERFACE_ATTRIBUTES}, _driver(path)
        )
        for path in directory.glob("[0-9]*-*:*.*")
    )


def _attribute(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _driver(path: Path) -> str | None:
    try:
        return (path / "driver").readlink().name
    except OSError:
        return None


def _names(attributes: dict[str, bytes | None]) -> KnownNames:
    try:
        return known_names(
            int(attributes["idVendor"] or b"", 16), int(attributes["idProduct"] or b"", 16)
        )
    except ValueError:
        return KnownNames(None, None)


def _port_path(device: LocalDevice) -> tuple[int, ...]:
    """Buses by number, a root hub first, then port by port: 1-2 before 1-10."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", device.busid))
