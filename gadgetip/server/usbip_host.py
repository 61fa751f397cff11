"""The kernel's stub, as its files in sysfs: taking a device, giving it back, handing over a socket.

`usbip-host` is a driver for whole devices. It takes only devices whose bus ids it was told, in a
table of 16 (drivers/usb/usbip/stub_main.c: MAX_BUSID). To take one: unbind its driver, add the bus
id to the table, bind. To give it back: unbind, and write `rebind`, which drops the bus id and lets
the kernel choose a driver as if the device had just been plugged in.

Four things in stub_main.c decide how this module goes about it:

* `rebind` follows a pointer to the device which was set when the stub last took it. Nobody clears
  it. Written after an unplug, it reads freed memory; written before the device was ever taken, it
  is NULL. So it is written only right after an unbind of a device that is still there; a device
  that was found half-way, in the table without a driver, is first bound.
* `del` on a bus id whose device is not with the stub does nothing and reports success. A bus id
  whose device was unplugged therefore keeps its place in the table until the same port is taken
  and given back again.
* `del` on one whose device *is* with the stub marks it: it can then not be bound again until
  `rebind` was written.
* A device that is plugged into a known port again is not taken by itself: the generic driver comes
  first. It has to be taken anew.

All functions are synchronous; binding and unbinding may take seconds. What depends on time has a
limit.
"""

import contextlib
import errno
import os
import re
import subprocess
import time
from pathlib import Path

from gadgetip.errors import PrerequisiteError, UsageError
from gadgetip.server.stub import DeviceFaultError, DeviceInUseError

AVAILABLE = 1
IN_USE = 2
ERROR = 3
"""`usbip_status` (include/uapi/linux/usbip.h: SDEV_ST_*)."""

MAX_BUSID = 16
NAME = "usbip-host"
MODPROBE_LIMIT_S = 15.0
STATUS_LIMIT_S = 2.0
SESSION_END_LIMIT_S = 8.0
_POLL_S = 0.05

_BUS = Path("/sys/bus/usb")
_BUSID = re.compile(r"[0-9]{1,5}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")
_HUB_CLASS = "09"
_GONE = {errno.ENODEV, errno.ENOENT, errno.ENXIO}


def is_available() -> bool:
    """Whether this machine has the stub and we may use it; tries to load it."""
    return why_unavailable() is None


def why_unavailable() -> str | None:
    """What is missing, as a sentence that says what to do; None if nothing is."""
    if os.geteuid() != 0:
        return "the kernel's stub needs root: run it with sudo"
    if not _driver(NAME).exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["modprobe", NAME], check=False, capture_output=True, timeout=MODPROBE_LIMIT_S
            )
    if not _driver(NAME).exists():
        return (
            f"this kernel has no module {NAME}: install the distribution's full kernel package, "
            "or use --stub userspace"
        )
    if not os.access(_driver(NAME) / "bind", os.W_OK):
        return "/sys is read-only here (a container?): use --stub userspace"
    return None


def status(busid: str) -> int | None:
    """`usbip_status` of a device: 1 available, 2 in use, 3 error; None if the stub has it not."""
    try:
        return int((_device(busid) / "usbip_status").read_text())
    except (OSError, ValueError):
        return None


def devnum(busid: str) -> int | None:
    """The device's number on its bus, new with each plug-in; None if nothing is plugged in.

    0 while the device is being reset (drivers/usb/core/hub.c: hub_port_init).
    """
    try:
        return int((_device(busid) / "devnum").read_text())
    except (OSError, ValueError):
        return None


def driver_of(busid: str) -> str | None:
    """The driver of the whole device, "usb" if its interfaces belong to this machine's drivers."""
    try:
        return (_device(busid) / "driver").readlink().name
    except OSError:
        return None


def known_busids() -> tuple[str, ...]:
    """The stub's table: the bus ids that it would take."""
    try:
        return tuple((_driver(NAME) / "match_busid").read_text().split())
    except OSError:
        return ()


def take(busid: str) -> None:
    """Take a device from its driver; idempotent, heals what was left half-way or in error.

    A device in use stays as it is. Raises `PrerequisiteError` (no module, no root, the table is
    full), `DeviceFaultError` (unplugged, a hub, an imported device, refused by the kernel).
    """
    missing = why_unavailable()
    if missing:
        raise PrerequisiteError(missing)
    device = _device(busid)
    if not device.exists():
        raise DeviceFaultError(f"{busid} is not plugged in")
    if driver_of(busid) == NAME:
        if status(busid) in {AVAILABLE, IN_USE}:
            return
        # In error, from which nothing but a rebind leads back (stub_dev.c: SDEV_ST_ERROR).
        _detach(busid)
    _refuse_what_the_stub_refuses(busid)
    _add(busid)
    _detach(busid)
    try:
        _write(_driver(NAME) / "bind", busid)
    except OSError as error:
        # Back to where it was: a device without any driver serves nobody.
        with contextlib.suppress(OSError):
            _write(_driver("usb") / "bind", busid)
        if not device.exists():
            raise DeviceFaultError(f"{busid} was unplugged") from None
        raise DeviceFaultError(
            f"{NAME} does not take {busid}: {os.strerror(error.errno or 0)}; "
            "unplug it and plug it in again"
        ) from None
    _wait_for_status(busid)


def give_back(busid: str) -> None:
    """Return a device to its own driver, after ending its session; idempotent.

    A device that is unplugged, before or meanwhile, is no error. Raises `DeviceFaultError` when
    the kernel leaves it without a driver.
    """
    if not _device(busid).exists():
        return
    driver = driver_of(busid)
    if driver == NAME:
        stop(busid)
        _wait_for_end(busid)
        _detach(busid)
        _rebind(busid)
    elif driver is None and busid in known_busids():
        # Half-way. The table's pointer to the device may be none or an old one: binding sets it.
        with contextlib.suppress(OSError):
            _write(_driver(NAME) / "bind", busid)
            _detach(busid)
            _rebind(busid)
    if driver_of(busid) is None and _device(busid).exists():
        try:
            _write(_driver("usb") / "bind", busid)
        except OSError as error:
            if error.errno not in _GONE and _device(busid).exists():
                raise DeviceFaultError(
                    f"{busid} has no driver and the kernel gives it none "
                    f"({os.strerror(error.errno or 0)}): unplug it and plug it in again"
                ) from None


def hand_over(busid: str, fd: int) -> None:
    """Give a connected stream socket to the stub, whose threads speak on it from now on.

    The kernel takes a reference of its own: close your copy. Raises `DeviceInUseError` when
    somebody else was quicker, `DeviceFaultError` when the stub has the device not, or in error.
    """
    try:
        _write(_device(busid) / "usbip_sockfd", str(fd))
    except OSError as error:
        now = status(busid)
        if now == IN_USE:
            raise DeviceInUseError(f"{busid} is in use by another client") from None
        if now is None:
            raise DeviceFaultError(f"{busid} is not with {NAME} any more") from None
        raise DeviceFaultError(
            f"{NAME} does not serve {busid}: {os.strerror(error.errno or 0)} (status {now})"
        ) from None


def stop(busid: str) -> None:
    """Ask the stub to end a session: the socket is shut, transfers are killed, the device reset.

    It is over when `status` is 2 no more. Without a session nothing happens.
    """
    with contextlib.suppress(OSError):
        _write(_device(busid) / "usbip_sockfd", "-1")


def _refuse_what_the_stub_refuses(busid: str) -> None:
    """Raise for what stub_probe would refuse, before the device lost its driver for nothing."""
    device = _device(busid)
    try:
        device_class = (device / "bDeviceClass").read_text().strip()
    except OSError:
        raise DeviceFaultError(f"{busid} was unplugged") from None
    if device_class == _HUB_CLASS:
        raise DeviceFaultError(f"{busid} is a hub: export the devices behind it")
    if "/vhci_hcd." in str(device.resolve()):
        raise DeviceFaultError(f"{busid} is imported from another machine: export it there")


def _add(busid: str) -> None:
    known = known_busids()
    if busid in known:
        return
    try:
        _write(_driver(NAME) / "match_busid", f"add {busid}")
    except OSError:
        raise PrerequisiteError(
            f"{NAME} knows {len(known)} bus ids and {MAX_BUSID} at most ({', '.join(known)}): "
            "unbind some while they are plugged in, or use --stub userspace, which has no such "
            "limit"
        ) from None


def _detach(busid: str) -> None:
    """Unbind whatever driver the device has."""
    driver = driver_of(busid)
    if driver is None:
        return
    try:
        _write(_driver(driver) / "unbind", busid)
    except OSError as error:
        if error.errno not in _GONE:
            raise DeviceFaultError(
                f"the driver {driver} keeps {busid}: {os.strerror(error.errno or 0)}"
            ) from None


def _rebind(busid: str) -> None:
    """Let the kernel choose a driver; only right after an unbind, see the head of this module."""
    if not _device(busid).exists():
        return
    with contextlib.suppress(OSError):
        _write(_driver(NAME) / "rebind", busid)
    if busid in known_busids():
        # No driver wanted it, so `rebind` stopped before it dropped the bus id.
        with contextlib.suppress(OSError):
            _write(_driver(NAME) / "match_busid", f"del {busid}")


def _wait_for_status(busid: str) -> None:
    """Wait for the stub's files, which the kernel makes while it binds."""
    deadline = time.monotonic() + STATUS_LIMIT_S
    while status(busid) is None:
        if time.monotonic() >= deadline:
            raise DeviceFaultError(f"{NAME} took {busid} and does not tell its status")
        time.sleep(_POLL_S)


def _wait_for_end(busid: str) -> None:
    """Wait until the session is over; one that hangs is ended by the unbind that follows."""
    deadline = time.monotonic() + SESSION_END_LIMIT_S
    while status(busid) == IN_USE and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _device(busid: str) -> Path:
    if not _BUSID.fullmatch(busid):
        raise UsageError(f"{busid!r} is no bus id: one looks like 1-1.4")
    return _BUS / "devices" / busid


def _driver(name: str) -> Path:
    return _BUS / "drivers" / name


def _write(path: Path, text: str) -> None:
    """Write a sysfs file in one system call; never make one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
