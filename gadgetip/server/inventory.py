"""What is plugged into this machine: every USB device below /sys/bus/usb/devices, hubs too.

Devices come and go while they are read. One that is not there any more when the last of it was
read, or is another one under the same name by then, is left out: a decision must not be made from
half a device. Whoever follows `Hotplug` is told of it anyway.

Nobody needs to be root, and udevd need not run.

What a device says of itself stays the same from plugging in to unplugging, and is read once: the
inode of its directory tells whether it is still the same plugging. A daemon reads the inventory at
every event, and has half a second for a bootloader.

The kernel holds a device's lock while a driver probes it, while its configuration is set and while
it is reset, and some of its files wait for that lock (drivers/usb/core/sysfs.c: the strings and
bConfigurationValue). So each device is read in a thread of its own: one that hangs is as it was
last known, and nobody waits for it longer than `DEVICE_LIMIT_S`.
"""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path

from gadgetip.server.hardware_database import KnownNames, known_names
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.sysfs_form import (
    DEVICE_ATTRIBUTES,
    INTERFACE_ATTRIBUTES,
    SysfsDevice,
    SysfsInterface,
    local_device,
)

DEVICE_LIMIT_S = 3.0
HANGING_LIMIT_S = 0.1
_DEVICES = Path("/sys/bus/usb/devices")
_BUSID = re.compile(r"usb[0-9]{1,5}|[0-9]{1,5}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")
# The kernel's longest: 18 + 255 configurations of 65,535; it reads no more than 8 of them.
_DESCRIPTORS_LIMIT = 18 + 8 * 0xFFFF
_CHANGING = ("bConfigurationValue", "usbip_status")
_HUB_CLASS = b"09"
_lock = threading.Lock()  # of what is below it; never held while something is read


@dataclass(frozen=True, slots=True)
class _Lasting:
    """What does not change while a device is plugged in; an unauthorized one has no strings."""

    key: tuple[int, bytes | None]
    attributes: dict[str, bytes | None]
    descriptors: bytes
    found: LocalDevice
    """The whole, as it was last read. Nothing about a hub matters that changes."""


@dataclass(slots=True)
class _Reading:
    """One device's reading, in a thread that nobody has to wait for."""

    done: threading.Event = field(default_factory=threading.Event)
    found: LocalDevice | None = None


_lasting: dict[str, _Lasting] = {}
_readings: dict[str, _Reading] = {}
_hanging: set[str] = set()


def read_inventory() -> tuple[LocalDevice, ...]:
    """Every device that is plugged in now, in the order of the ports.

    A few milliseconds for a dozen devices. Hubs come without their interfaces' drivers. Devices
    that hang are as they were, or missing when they are new: `still_reading` names them.
    """
    try:
        busids = [link.name for link in _DEVICES.iterdir() if _BUSID.fullmatch(link.name)]
    except OSError:
        return ()  # a kernel without USB
    devices = _find(busids)
    with _lock:
        _hanging.intersection_update(busids)
        paths = {path for busid in busids if (path := _path(busid)) is not None}
        for path in _lasting.keys() - paths:
            del _lasting[path]
    return tuple(sorted(devices, key=_port_path))


def find_local(busid: str) -> LocalDevice | None:
    """The device that the kernel calls by this bus id now ("1-1.4"); None where there is none.

    Anything may be asked for: what no bus id looks like never becomes a path. One that hangs is as
    it was, or None when it is new: `still_reading` names it.
    """
    return next(iter(_find([busid])), None) if _BUSID.fullmatch(busid) else None


def still_reading() -> frozenset[str]:
    """The bus ids that hung when they were last asked for: look at them again."""
    with _lock:
        return frozenset(_hanging)


def _find(busids: Iterable[str]) -> list[LocalDevice]:
    """Read devices one after the other; for one that hangs `DEVICE_LIMIT_S`, once.

    Not side by side: where they share one slow processor, all would be done late together, and
    none could be told from one that hangs.
    """
    found: dict[str, LocalDevice | None] = {}
    for busid in busids:
        known = _last_known(busid)
        if known is not None and known.is_hub:
            found[busid] = known
            continue
        reading, is_ours = _begin_reading(busid)
        with _lock:
            hangs = busid in _hanging and not is_ours
        is_done = reading.done.wait(HANGING_LIMIT_S if hangs else DEVICE_LIMIT_S)
        if is_done and not is_ours:
            # It began before we were asked, and may have seen less.
            reading, _ = _begin_reading(busid)
            is_done = reading.done.wait(DEVICE_LIMIT_S)
        found[busid] = reading.found if is_done else _last_known(busid)
        with _lock:
            (_hanging.discard if is_done else _hanging.add)(busid)
    return [device for device in found.values() if device is not None]


def _begin_reading(busid: str) -> tuple[_Reading, bool]:
    """A reading that begins now, and True; or the one that is under way: one for each device."""
    with _lock:
        reading = _readings.get(busid)
        if reading is not None:
            return reading, False
        reading = _readings[busid] = _Reading()

    def read() -> None:
        try:
            reading.found = _read(busid)
        finally:
            with _lock:
                _readings.pop(busid, None)
            reading.done.set()

    threading.Thread(target=read, name=f"reading {busid}", daemon=True).start()
    return reading, True


def _last_known(busid: str) -> LocalDevice | None:
    """What was last read of it, if it is still the same plugging; waits for nothing."""
    path = _path(busid)
    known = _lasting.get(path) if path is not None else None
    try:
        same = known is not None and Path(known.found.path).stat().st_ino == known.key[0]
    except OSError:
        return None
    return known.found if known is not None and same else None


def _path(busid: str) -> str | None:
    try:
        # Not `resolve`, which asks for every directory on the way; this is called for every hub.
        return normpath(_DEVICES / (_DEVICES / busid).readlink())
    except OSError:
        return None


def _read(busid: str) -> LocalDevice | None:
    """Read one device; may hang as long as the kernel has it locked."""
    path = _path(busid)
    if path is None:
        return None
    directory = Path(path)
    try:
        inode = directory.stat().st_ino
        key = (inode, _attribute(directory / "authorized"))
        known = _lasting.get(path)
        if known is not None and known.key == key:
            lasting, descriptors = known.attributes, known.descriptors
        else:
            lasting, descriptors = _lasting_attributes(directory), _descriptors(directory)
        is_hub = lasting["bDeviceClass"] == _HUB_CLASS
        changing = {name: _attribute(directory / name) for name in _CHANGING}
        found = local_device(
            SysfsDevice(
                busid=busid,
                path=path,
                attributes=lasting | changing,
                driver=_driver(directory),
                interfaces=() if is_hub else _interfaces(directory),
                descriptors=descriptors,
            ),
            _names(lasting),
        )
        if found is None or directory.stat().st_ino != inode:
            return None
    except OSError:
        return None
    with _lock:
        _lasting[path] = _Lasting(key, lasting, descriptors, found)
    return found


def _lasting_attributes(directory: Path) -> dict[str, bytes | None]:
    return {
        name: _attribute(directory / name) for name in DEVICE_ATTRIBUTES if name not in _CHANGING
    }


def _descriptors(directory: Path) -> bytes:
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
        return path.read_bytes().removesuffix(b"\n")
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
