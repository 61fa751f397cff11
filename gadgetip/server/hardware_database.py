"""What a VID:PID is called, where the device has no words of its own.

Two files on a Linux machine know: udev's hardware database, a compiled trie that libudev maps into
memory (a look-up takes microseconds, and `/etc/udev/hwdb.d` may add to it), and `usb.ids`, the text
that it is made of. The first works without udevd, since libudev reads the file itself; pyudev has
no class for it, hence the few calls here. Where it is missing (small containers), the text is
searched: one read of 700 KB in a process that asks at all.

The entry in the udev database of a plugged device (ID_VENDOR_FROM_DATABASE) comes from the same
file, but exists only where udevd runs, and not for a device on another machine.
"""

import ctypes
import threading
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

USB_IDS = (
    Path("/usr/share/hwdata/usb.ids"),
    Path("/usr/share/misc/usb.ids"),
    Path("/var/lib/usbutils/usb.ids"),
)
_USB_IDS_LIMIT = 8 << 20  # bytes; the file has 0.7 MB
_lock = threading.Lock()  # libudev gives each answer in memory that the next one reuses


class KnownNames(NamedTuple):
    """The names of a vendor and of its product; None where nobody has registered one."""

    vendor: str | None
    product: str | None


@lru_cache(1024)
def known_names(idVendor: int, idProduct: int) -> KnownNames:
    """The registered names of VID:PID; never raises."""
    database = _open_database()
    if database is not None:
        with _lock:
            return database.names(idVendor, idProduct)
    return find_in_usb_ids(_usb_ids(), idVendor, idProduct)


def find_in_usb_ids(text: bytes, idVendor: int, idProduct: int) -> KnownNames:
    """Find VID:PID in the text of `usb.ids`.

    A vendor is a line "0781  SanDisk Corp."; the lines behind it that begin with one tab are its
    products. Other lists (classes, languages) follow the vendors; their lines begin with a word.
    """
    _, found, rest = (b"\n" + text).partition(b"\n%04x  " % idVendor)
    if not found:
        return KnownNames(None, None)
    lines = iter(rest.split(b"\n", 0x10000))
    vendor = _decode(next(lines))
    wanted = b"\t%04x  " % idProduct
    for line in lines:
        if line.startswith(wanted):
            return KnownNames(vendor, _decode(line[len(wanted) :]))
        if not line.startswith((b"\t", b"#")) and line.strip():
            break
    return KnownNames(vendor, None)


class _HardwareDatabase:
    """libudev's hwdb, open for the rest of the process."""

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
        self._handle = handle

    def names(self, idVendor: int, idProduct: int) -> KnownNames:
        """What udev's rules would put into a device's properties."""
        library = self._library
        found: dict[bytes, bytes] = {}
        entry = library.udev_hwdb_get_properties_list_entry(
            self._handle, b"usb:v%04Xp%04X:" % (idVendor, idProduct), 0
        )
        while entry:
            name = library.udev_list_entry_get_name(entry)
            found[name or b""] = library.udev_list_entry_get_value(entry) or b""
            entry = library.udev_list_entry_get_next(entry)
        return KnownNames(
            _decode(found.get(b"ID_VENDOR_FROM_DATABASE", b"")),
            _decode(found.get(b"ID_MODEL_FROM_DATABASE", b"")),
        )


@cache
def _open_database() -> _HardwareDatabase | None:
    try:
        library = ctypes.CDLL("libudev.so.1")
        for name, arguments, result in (
            ("udev_new", [], ctypes.c_void_p),
            ("udev_hwdb_new", [ctypes.c_void_p], ctypes.c_void_p),
            (
                "udev_hwdb_get_properties_list_entry",
                [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint],
                ctypes.c_void_p,
            ),
            ("udev_list_entry_get_next", [ctypes.c_void_p], ctypes.c_void_p),
            ("udev_list_entry_get_name", [ctypes.c_void_p], ctypes.c_char_p),
            ("udev_list_entry_get_value", [ctypes.c_void_p], ctypes.c_char_p),
        ):
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, result
    except (OSError, AttributeError):
        return None
    handle = library.udev_hwdb_new(library.udev_new())
    return _HardwareDatabase(library, handle) if handle else None


@cache
def _usb_ids() -> bytes:
    for path in USB_IDS:
        try:
            with path.open("rb") as file:
                return file.read(_USB_IDS_LIMIT)
        except OSError:
            continue
    return b""


def _decode(text: bytes) -> str | None:
    return text.decode("utf-8", "replace").strip() or None
