"""A device of this machine, taken from its drivers, as a `UsbDevice` on libusb.

It is held by claiming all interfaces of its configuration, so it stays ours between two clients.
While a client changes the configuration nothing is claimed for a moment, and this machine's drivers
may bind to what they find; they are taken off again. libusb has no way to keep them away.
"""

import contextlib
import ctypes
import errno
import os
import select
from collections.abc import Collection
from pathlib import Path
from typing import Final

from gadgetip.errors import PrerequisiteError
from gadgetip.server.stub import DeviceFaultError
from gadgetip.server.userspace.endpoints import Configuration, Setting, read_configurations
from gadgetip.server.userspace.library import (
    BUSY,
    MAX_CONTROL_BYTES,
    NO_DEVICE,
    NOT_FOUND,
    Context,
    load,
    to_errno,
)
from gadgetip.server.userspace.transfers import TransferPool
from gadgetip.server.userspace.urb import IN, DeviceLostError, Urb
from gadgetip.usb import TransferType

_MAX_DESCRIPTORS_BYTES: Final = 1 << 20
CLAIM_TRIES: Final = 5
"""How often an interface is taken from a driver that binds in the moment before it is claimed."""


def node_path(busnum: int, devnum: int) -> Path:
    """The usbfs node of a device."""
    return Path(f"/dev/bus/usb/{busnum:03}/{devnum:03}")


class LibusbDevice:
    """One open device. Not for two threads at a time."""

    def __init__(self, node: Path) -> None:
        """Open a usbfs node; raises `PrerequisiteError`, `DeviceFaultError`. Takes nothing yet."""
        libusb = load()
        self._libusb = libusb
        with contextlib.ExitStack() as opened:
            self._file = _open(node)
            opened.callback(os.close, self._file)
            self._context = Context(libusb)
            opened.callback(self._context.close)
            self._handle = libusb.libusb_device_handle_p()
            result = libusb.libusb_wrap_sys_device(
                self._context.pointer, self._file, ctypes.byref(self._handle)
            )
            if result:
                raise DeviceFaultError(f"{node} cannot be used: {os.strerror(-to_errno(result))}")
            opened.callback(libusb.libusb_close, self._handle)
            try:
                descriptors = os.pread(self._file, _MAX_DESCRIPTORS_BYTES, 0)
            except OSError as error:
                raise DeviceFaultError(f"{node} cannot be read: {error.strerror}") from None
            self._configurations = read_configurations(descriptors)
            self._pool = TransferPool(libusb, self._handle)
            opened.pop_all()
        self._alternates: dict[int, int] = {}
        self._live: Setting = {}
        self._claimed: list[int] = []
        self._is_lost = False
        self._value = self._read_configuration()
        self.original_value = self._value
        """bConfigurationValue when it was opened, 0 for none."""

    @property
    def is_lost(self) -> bool:
        """Whether the device was found to be gone."""
        return self._is_lost

    @property
    def files(self) -> list[tuple[int, int]]:
        """What to poll for `finished` to have something: files, and poll's events."""
        return self._context.files()

    def note_events(self, events: int) -> None:
        """Tell what a poll found at one of `files`; a device that is gone shows there."""
        if events & (select.POLLERR | select.POLLHUP):
            self._is_lost = True

    def lose(self) -> None:
        """Take it for gone, so that it is opened anew for the next client."""
        self._is_lost = True

    def claim(self) -> None:
        """Take all interfaces from this machine's drivers; raises `DeviceFaultError`."""
        for number in self._interfaces():
            result = self._claim_interface(number)
            if result:
                self._note(result)
                reason = os.strerror(-to_errno(result))
                raise DeviceFaultError(f"interface {number} cannot be taken: {reason}")
            self._claimed.append(number)
        self._refresh()

    def _claim_interface(self, number: int) -> int:
        """Take one interface, whatever driver binds to it meanwhile; libusb's result."""
        for _ in range(CLAIM_TRIES):
            self._libusb.libusb_detach_kernel_driver(self._handle, number)
            result: int = self._libusb.libusb_claim_interface(self._handle, number)
            if result != BUSY:
                break
        return result

    def release(self) -> None:
        """Let go of all interfaces; no driver takes them by itself."""
        for number in self._claimed:
            self._libusb.libusb_release_interface(self._handle, number)
        self._claimed.clear()
        self._alternates.clear()
        self._refresh()

    def return_to_drivers(self) -> None:
        """Let go of all interfaces, and have this machine's drivers take them."""
        self.release()
        if not self._is_lost and not self._value and self._configurations:
            with contextlib.suppress(DeviceLostError):
                self.set_configuration(self.original_value or min(self._configurations))
            self.release()
        for number in self._interfaces():
            self._libusb.libusb_attach_kernel_driver(self._handle, number)

    def restore(self) -> None:
        """Make the device as it was when it was taken, for the next client.

        A reset does most of it, as in the kernel's stub: it ends whatever command the device is
        in the middle of. Raises `DeviceLostError` if it does not come back from it.
        """
        status = self.reset()
        if status:
            self._is_lost = True  # whatever it is now, it is not what was taken
            raise DeviceLostError(f"its reset failed: {os.strerror(-status)}")
        if self._value != self.original_value:
            status = self.set_configuration(self.original_value)
            if status:
                reason = os.strerror(-status)
                self._is_lost = True
                raise DeviceLostError(f"its configuration could not be restored: {reason}")

    def close(self) -> None:
        """Close it; nothing may be in flight. What is claimed is released, without drivers."""
        self._pool.close()
        self._libusb.libusb_close(self._handle)
        self._context.close()
        os.close(self._file)

    def transfer_type(self, address: int) -> TransferType | None:
        """The type of an endpoint in the present configuration and settings; None: not there."""
        return self._live.get(address)

    def addresses(self, interface: int | None = None) -> Collection[int]:
        """The endpoints of one interface's present setting, or all; never endpoint 0."""
        if interface is None:
            return self._live
        configuration = self._configuration()
        if configuration is None:
            return ()
        settings = configuration.interfaces.get(interface, {})
        return settings.get(self._alternates.get(interface, 0), {})

    def submit(self, urb: Urb) -> int:
        """Begin a transfer; 0, or -errno if it could not begin."""
        if urb.type is TransferType.CONTROL and urb.length > MAX_CONTROL_BYTES:
            if not urb.address & IN:
                return -errno.EINVAL
            # Devices answer with what they have, mostly far less than they are asked for.
            urb.setup = urb.setup[:6] + MAX_CONTROL_BYTES.to_bytes(2, "little")
        result = self._pool.submit(urb)
        if not result:
            return 0
        self._note(result)
        status = to_errno(result)
        if status == -errno.ENOENT and urb.type is TransferType.CONTROL:
            # usbfs has no such interface or endpoint, which it has to know before it lets a
            # request pass; the device, which has none either, would have stalled.
            return -errno.EPIPE
        return status

    def cancel(self, urb: Urb) -> None:
        """Ask that a submitted transfer end soon."""
        self._pool.cancel(urb)

    def finished(self, limit_s: float = 0.0) -> list[Urb]:
        """The transfers that have ended, after waiting up to `limit_s` seconds for the first."""
        self._context.handle_events(limit_s)
        return self._pool.take_finished()

    def recycle(self, urbs: list[Urb]) -> None:
        """Take back what `received` of these lies in."""
        self._pool.recycle(urbs)

    def clear_halt(self, address: int) -> int:
        """Clear an endpoint's halt and both sides' data toggle; 0 or -errno."""
        return self._done(self._libusb.libusb_clear_halt(self._handle, address))

    def set_interface(self, interface: int, alternate: int) -> int:
        """Choose an alternate setting; 0 or -errno."""
        status = self._done(
            self._libusb.libusb_set_interface_alt_setting(self._handle, interface, alternate)
        )
        if not status:
            self._alternates[interface] = alternate
            self._refresh()
        return status

    def set_configuration(self, value: int) -> int:
        """Choose a configuration; 0 or -errno. All alternate settings are 0 then."""
        self.release()
        status = self._done(self._libusb.libusb_set_configuration(self._handle, value))
        if not status:
            self._value = value
        try:
            self.claim()
        except DeviceFaultError as error:
            self._is_lost = True  # half of it is taken: it has to be opened anew
            raise DeviceLostError(str(error)) from None
        return status

    def reset(self) -> int:
        """Reset the port; 0 or -errno. All alternate settings are 0 then."""
        result = self._libusb.libusb_reset_device(self._handle)
        self._alternates.clear()
        self._refresh()
        if result in (NOT_FOUND, NO_DEVICE):
            self._is_lost = True
            raise DeviceLostError("the device did not come back from a reset")
        return self._done(result)

    def _done(self, result: int) -> int:
        if not result:
            return 0
        self._note(result)
        return to_errno(result)

    def _note(self, result: int) -> None:
        if result == NO_DEVICE:
            self._is_lost = True

    def _configuration(self) -> Configuration | None:
        return self._configurations.get(self._value)

    def _interfaces(self) -> Collection[int]:
        configuration = self._configuration()
        return configuration.interfaces if configuration else ()

    def _refresh(self) -> None:
        configuration = self._configuration()
        self._live = configuration.endpoints(self._alternates) if configuration else {}

    def _read_configuration(self) -> int:
        value = ctypes.c_int(0)
        if self._libusb.libusb_get_configuration(self._handle, ctypes.byref(value)):
            return 0
        return max(value.value, 0)


def _open(node: Path) -> int:
    try:
        return os.open(node, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        raise PrerequisiteError(
            f"{node} cannot be opened for writing: run as root, or give this user the right to it"
        ) from None
    except FileNotFoundError:
        if not Path("/dev/bus/usb").is_dir():
            raise PrerequisiteError(
                "there is no /dev/bus/usb here: in a container, pass it in with its devices"
            ) from None
        raise DeviceFaultError(f"{node} does not exist: the device is not there any more") from None
    except OSError as error:
        raise DeviceFaultError(f"{node} cannot be opened: {error.strerror}") from None
