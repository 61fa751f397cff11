"""libusb-1.0 itself: its contexts, its transfers, its errors as the kernel's.

The functions are those that `usb1` declares (`usb1.libusb1`); its object layer is left out. That
one makes several Python objects and a dozen calls for a transfer, and a stub does little else than
transfers. Here a transfer is made once and used again, and its end costs one call back.

Two of libusb's limits show. It has seven outcomes for a transfer where the kernel has twenty
errnos: what the host controller reports as -EILSEQ, -ETIME and the like is -EPROTO here. And it
takes no control transfer of more than 4096 bytes (`MAX_CONTROL_BYTES`).
"""

import ctypes
import errno
from typing import Any, Final

from gadgetip.errors import PrerequisiteError

MAX_CONTROL_BYTES: Final = 4096
"""The longest data stage that libusb submits (libusb: os/linux_usbfs.h, MAX_CTRL_BUFFER_LENGTH)."""

NO_DEVICE: Final = -4
NOT_FOUND: Final = -5
BUSY: Final = -6

# enum libusb_error, where it says more than -EIO
_ERRORS: Final = {
    -2: -errno.EINVAL,
    -3: -errno.EACCES,
    NO_DEVICE: -errno.ENODEV,
    NOT_FOUND: -errno.ENOENT,
    BUSY: -errno.EBUSY,
    -7: -errno.ETIMEDOUT,
    -8: -errno.EOVERFLOW,
    -9: -errno.EPIPE,
    -11: -errno.ENOMEM,
    -12: -errno.EOPNOTSUPP,
}

_IO_ERROR: Final = -1
_OTHER_ERROR: Final = -99

# What usbfs may have said where libusb only says "input/output error".
_SUBMIT_ERRNOS: Final = frozenset(
    (
        errno.ENOENT,
        errno.EINVAL,
        errno.EMSGSIZE,
        errno.ENOSPC,
        errno.ENOMEM,
        errno.EPIPE,
        errno.EXDEV,
        errno.EFBIG,
        errno.EAGAIN,
        errno.EHOSTUNREACH,
        errno.ESHUTDOWN,
        errno.ENODEV,
        errno.EBUSY,
    )
)

STATUSES: Final = (
    0,  # LIBUSB_TRANSFER_COMPLETED
    -errno.EPROTO,  # _ERROR
    -errno.ETIMEDOUT,  # _TIMED_OUT
    -errno.ECONNRESET,  # _CANCELLED
    -errno.EPIPE,  # _STALL
    -errno.ESHUTDOWN,  # _NO_DEVICE
    -errno.EOVERFLOW,  # _OVERFLOW
)
"""enum libusb_transfer_status as an errno."""

_NO_DEVICE_DISCOVERY: Final = 2  # enum libusb_option, since 1.0.24


def load() -> Any:
    """Give the declarations of `usb1.libusb1`; raises `PrerequisiteError` without libusb."""
    try:
        import usb1  # noqa: PLC0415 (a server with the kernel's stub does without it)

        usb1.loadLibrary()
    except (ImportError, OSError):
        raise PrerequisiteError(
            "the user-space stub needs libusb 1.0: install libusb-1.0-0"
        ) from None
    # The library itself: for what it lacks `usb1` has a stand-in.
    if not hasattr(usb1.libusb1.libusb, "libusb_wrap_sys_device"):
        raise PrerequisiteError("the user-space stub needs libusb 1.0.24 or later")
    return usb1.libusb1


def to_errno(result: int) -> int:
    """A libusb result below 0 as -errno; only right after the call that gave it."""
    if result in (_IO_ERROR, _OTHER_ERROR):
        said = ctypes.get_errno()
        return -said if said in _SUBMIT_ERRNOS else -errno.EPROTO
    return _ERRORS.get(result, -errno.EPROTO)


class Context:
    """A libusb context that looks for no devices: they are given to it as open files.

    So it needs neither udev nor sysfs, and nothing runs in the background.
    """

    def __init__(self, libusb: Any) -> None:
        self.libusb = libusb
        self.pointer = libusb.libusb_context_p()
        # For contexts that are made from now on; older libraries have no other way to say it.
        libusb.libusb.libusb_set_option(None, _NO_DEVICE_DISCOVERY)
        result = libusb.libusb_init_context(ctypes.byref(self.pointer), None, 0)
        if result:
            raise PrerequisiteError(f"libusb does not start: {errno.errorcode[-to_errno(result)]}")
        self._no_time = libusb.timeval(0, 0)
        self._at_once = ctypes.byref(self._no_time)
        self._handle = libusb.libusb_handle_events_timeout_completed

    def handle_events(self, limit_s: float = 0.0) -> None:
        """Call back for what has ended; waits up to `limit_s` seconds for something to end."""
        if not limit_s:
            self._handle(self.pointer, self._at_once, None)
            return
        whole = int(limit_s)
        limit = self.libusb.timeval(whole, int((limit_s - whole) * 1_000_000))
        self._handle(self.pointer, ctypes.byref(limit), None)

    def files(self) -> list[tuple[int, int]]:
        """The files that show events, and for which events (poll's) to ask."""
        listed = self.libusb.libusb_get_pollfds(self.pointer)
        found = []
        index = 0
        while listed[index]:
            entry = listed[index].contents
            found.append((entry.fd, entry.events))
            index += 1
        self.libusb.libusb_free_pollfds(listed)
        return found

    def close(self) -> None:
        """End the context; its device is closed before."""
        self.libusb.libusb_exit(self.pointer)
