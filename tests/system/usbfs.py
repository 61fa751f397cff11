"""A driver on the host's side, for what the kernel's own drivers never do.

Transfers go through libusb (pyusb), after the kernel's driver was taken off the interface. What
libusb does not show goes to usbfs's own ioctls: a reset that leaves the kernel's drivers bound, as
a host's error recovery does it, and requests to the driver that has an interface.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import usb.core
import usb.util

from tests.system.waiting import wait_for

# linux/usbdevice_fs.h, on 64-bit machines
USBDEVFS_SUBMITURB = 0x8038_550A  # _IOR('U', 10, struct usbdevfs_urb)
USBDEVFS_REAPURBNDELAY = 0x4008_550D  # _IOW('U', 13, void *)
USBDEVFS_CLAIMINTERFACE = 0x8004_550F  # _IOR('U', 15, unsigned int)
USBDEVFS_RESET = 0x5514  # _IO('U', 20)
USBDEVFS_IOCTL = 0xC010_5512  # _IOWR('U', 18, struct usbdevfs_ioctl)
DRIVER_IOCTL = struct.Struct("iiP")  # ifno, ioctl_code, data

LIMIT_MS = 5000
APPEARANCE_LIMIT_S = 10.0


class UrbStructure(ctypes.Structure):
    """struct usbdevfs_urb, without the packets that an isochronous one has behind it."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (
        ("type", ctypes.c_ubyte),
        ("endpoint", ctypes.c_ubyte),
        ("status", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("buffer", ctypes.c_void_p),
        ("buffer_length", ctypes.c_int),
        ("actual_length", ctypes.c_int),
        ("start_frame", ctypes.c_int),
        ("number_of_packets", ctypes.c_int),
        ("error_count", ctypes.c_int),
        ("signr", ctypes.c_uint),
        ("usercontext", ctypes.c_void_p),
    )


class TransferError(AssertionError):
    """A transfer ended with an error; `errno` is the kernel's for the URB."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"{what}: {errno.errorcode.get(number, number)}")
        self.errno = number


def node(sysfs: Path) -> Path:
    """The usbfs node of a device."""
    bus, device = (int((sysfs / name).read_text()) for name in ("busnum", "devnum"))
    return Path(f"/dev/bus/usb/{bus:03}/{device:03}")


@contextmanager
def opened(sysfs: Path) -> Iterator[int]:
    """The file of a device's usbfs node, while the context lasts."""
    file = os.open(node(sysfs), os.O_RDWR | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def reset(sysfs: Path) -> None:
    """Reset the device's port (USBDEVFS_RESET); its drivers stay. Raises OSError if it is lost."""
    with opened(sysfs) as file:
        fcntl.ioctl(file, USBDEVFS_RESET)


def driver_ioctl(file: int, interface: int, code: int, data: bytearray) -> None:
    """Ask the driver of an interface something; `data` is changed in place. Raises OSError."""
    from ctypes import addressof, c_char

    kept = (c_char * len(data)).from_buffer(data)
    # ioctl codes above 2**31 are negative for the `int` of the structure.
    signed = code - (1 << 32) if code >= 1 << 31 else code
    fcntl.ioctl(file, USBDEVFS_IOCTL, DRIVER_IOCTL.pack(interface, signed, addressof(kept)))


class Driver:
    """Interfaces of one device, claimed while the context lasts.

    Every transfer has a limit of LIMIT_MS and raises `TransferError`: EPIPE for a stall, ETIMEDOUT,
    ENODEV when the device is gone.
    """

    def __init__(self, sysfs: Path, *interfaces: int) -> None:
        self.sysfs = sysfs
        self._interfaces = interfaces
        numbers = [int((sysfs / name).read_text()) for name in ("busnum", "devnum")]
        self._device = wait_for(
            lambda: usb.core.find(bus=numbers[0], address=numbers[1]),
            f"{sysfs.name} in libusb's list",
            APPEARANCE_LIMIT_S,
        )

    def __enter__(self) -> "Driver":
        for interface in self._interfaces:
            if self._device.is_kernel_driver_active(interface):
                self._device.detach_kernel_driver(interface)
            usb.util.claim_interface(self._device, interface)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        usb.util.dispose_resources(self._device)

    def control_in(
        self, request_type: int, request: int, value: int, index: int, length: int
    ) -> bytes:
        """A control request with an answer of at most `length` bytes."""
        with _as_transfer_error(f"control IN {request_type:02x} {request:02x}"):
            return bytes(
                self._device.ctrl_transfer(
                    request_type, request, value, index, length, timeout=LIMIT_MS
                )
            )

    def control_out(
        self, request_type: int, request: int, value: int, index: int, data: bytes = b""
    ) -> None:
        """A control request that carries data, or none."""
        with _as_transfer_error(f"control OUT {request_type:02x} {request:02x}"):
            self._device.ctrl_transfer(request_type, request, value, index, data, timeout=LIMIT_MS)

    def read(self, address: int, length: int, limit_ms: int = LIMIT_MS) -> bytes:
        """One bulk or interrupt transfer of at most `length` bytes; a short packet ends it."""
        with _as_transfer_error(f"IN 0x{address:02x}"):
            return bytes(self._device.read(address, length, timeout=limit_ms))

    def write(self, address: int, data: bytes, limit_ms: int = LIMIT_MS) -> int:
        """One bulk or interrupt transfer; returns how many bytes the device took."""
        with _as_transfer_error(f"OUT 0x{address:02x}"):
            return int(self._device.write(address, data, timeout=limit_ms))

    def set_halt(self, address: int) -> None:
        """SET_FEATURE(ENDPOINT_HALT)."""
        self.control_out(0x02, 3, 0, address)

    def is_halted(self, address: int) -> bool:
        """GET_STATUS of an endpoint."""
        return bool(self.control_in(0x82, 0, 0, address, 2)[0] & 1)

    def clear_halt(self, address: int) -> None:
        """CLEAR_FEATURE(ENDPOINT_HALT), and the host's data toggle."""
        with _as_transfer_error(f"clear halt 0x{address:02x}"):
            self._device.clear_halt(address)

    def set_interface(self, interface: int, alternate: int) -> None:
        """SET_INTERFACE."""
        with _as_transfer_error(f"set interface {interface}.{alternate}"):
            self._device.set_interface_altsetting(interface, alternate)

    def set_configuration(self, value: int) -> None:
        """SET_CONFIGURATION; no interface may be claimed by anybody."""
        with _as_transfer_error(f"set configuration {value}"):
            self._device.set_configuration(value)

    def string(self, index: int, language: int = 0x0409) -> str | None:
        """A string of the device, or None where it stalls."""
        try:
            data = self.control_in(0x80, 6, 0x0300 | index, language, 255)
        except TransferError as error:
            if error.errno == errno.EPIPE:
                return None
            raise
        return data[2 : data[0]].decode("utf-16-le", errors="replace")


@contextmanager
def _as_transfer_error(what: str) -> Iterator[None]:
    try:
        yield
    except usb.core.USBTimeoutError as error:
        raise TransferError(what, errno.ETIMEDOUT) from error
    except usb.core.USBError as error:
        raise TransferError(what, error.errno or 0) from error
