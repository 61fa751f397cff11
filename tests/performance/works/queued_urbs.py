"""A queue of URBs through usbfs, several under way, as a program with libusb keeps one.

libusb's own transfers are these two ioctls and an event loop; without it an interpreter on an
emulated processor has the time to keep the queue full. The structure and the numbers are those of
linux/usbdevice_fs.h on 64-bit machines.
"""

import ctypes
import errno
import fcntl
import os
import select
import struct
import time
from pathlib import Path

from tests.system import usbfs

RELEASEINTERFACE = 0x8004_5510  # _IOR('U', 16, unsigned int)
DISCONNECT, CONNECT = 0x5516, 0x5517  # _IO('U', 22) and 23
BULK = 3
DIRECTION_IN = 0x80
LIMIT_MS = 30_000
INTERFACE = struct.Struct("I")


_libc = ctypes.CDLL(None, use_errno=True)  # fcntl.ioctl takes no pointer


class QueuedUrbs:
    """URBs of one size on one bulk endpoint of interface 0, whose driver is sent away meanwhile."""

    def __init__(self, device: Path, endpoint: int, depth: int, length: int) -> None:
        self._device = device
        self._buffers = [ctypes.create_string_buffer(length) for _ in range(depth)]
        self._urbs = {}
        for buffer in self._buffers:
            address = ctypes.addressof(buffer)
            urb = usbfs.UrbStructure(
                type=BULK, endpoint=endpoint, buffer=address, buffer_length=length
            )
            self._urbs[ctypes.addressof(urb)] = urb

    def __enter__(self) -> "QueuedUrbs":
        self._file = os.open(usbfs.node(self._device), os.O_RDWR | os.O_CLOEXEC)
        if list(self._device.glob("*:*.0/driver")):
            usbfs.driver_ioctl(self._file, 0, DISCONNECT, bytearray(4))
        fcntl.ioctl(self._file, usbfs.USBDEVFS_CLAIMINTERFACE, INTERFACE.pack(0))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.ioctl(self._file, RELEASEINTERFACE, INTERFACE.pack(0))
            usbfs.driver_ioctl(self._file, 0, CONNECT, bytearray(4))
        finally:
            os.close(self._file)  # which cancels what is still under way

    def run(self, seconds: float) -> tuple[int, int, float]:
        """Keep the queue full for so long, then empty it: URBs, bytes, seconds.

        Raises AssertionError for a URB that fails, or comes short, or does not come.
        """
        ready = select.poll()
        ready.register(self._file, select.POLLOUT)
        began = now = time.monotonic()
        for address in self._urbs:
            self._ioctl(usbfs.USBDEVFS_SUBMITURB, address)
        under_way, count, moved = len(self._urbs), 0, 0
        while under_way:
            assert ready.poll(LIMIT_MS), f"a URB does not come back after {count}"
            while (done := self._reap()) is not None:
                urb = self._urbs[done]
                assert urb.status == 0, errno.errorcode.get(-urb.status, urb.status)
                assert urb.actual_length == urb.buffer_length, "a URB came short"
                count += 1
                moved += urb.actual_length
                if now - began < seconds:
                    self._ioctl(usbfs.USBDEVFS_SUBMITURB, done)
                else:
                    under_way -= 1
            now = time.monotonic()
        return count, moved, now - began

    def _reap(self) -> int | None:
        found = ctypes.c_void_p()
        try:
            self._ioctl(usbfs.USBDEVFS_REAPURBNDELAY, ctypes.addressof(found))
        except BlockingIOError:
            return None
        return found.value

    def _ioctl(self, request: int, address: int) -> None:
        if _libc.ioctl(self._file, ctypes.c_ulong(request), ctypes.c_void_p(address)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
