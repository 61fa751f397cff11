"""The kernel's stub behind our interface: `usbip-host` gets the socket and carries the URBs.

What the kernel does with a socket (drivers/usb/usbip/stub_dev.c, usbip_common.c):

* Writing its number to `usbip_sockfd` gives two kernel threads a reference of their own. They
  receive with MSG_WAITALL and send without MSG_DONTWAIT on the socket itself. O_NONBLOCK belongs to
  our open file, which they never look at, so ours may stay non-blocking; and so it must, because
  the reply is sent by us, after the hand-over as usbipd does it, and a client that does not read
  must not hold us up. 320 bytes fit the send buffer of a connection on which only requests were
  answered.
* However a session ends (the client's end of the stream, an error in it, our -1), the stub shuts
  the socket, kills what is in flight, resets the device, and only then makes its status 1.
* The kernel's event handler holds the lock of `usbip_sockfd` while it ends a session, a reset
  included, so a write may take seconds; it is made in a thread, as binding is.
* The status is a plain variable: nothing notifies of its changes, neither poll(2) nor a uevent.
  It is read a few times a second.
* Two things leave status 3, from which only a rebind leads back: a transfer for which there is no
  memory (a client can cause that with one absurd length) and a reset that failed.
* A device that is unplugged takes its files with it. The next one in the same port has the same bus
  id and another number.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable

from gadgetip.errors import PrerequisiteError
from gadgetip.server import usbip_host
from gadgetip.server.background import in_background, within_limit
from gadgetip.server.dead_client import notice_death
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import DeviceFaultError, Session, Stub

POLL_S = 0.25
_IN_RESET = 0  # a device's number, for a moment


class KernelSession(Session):
    """A session of the kernel's, watched through the device's status."""

    def __init__(self, device: LocalDevice) -> None:
        self._busid = device.busid
        self._devnum = device.devnum
        self._ended_by_us = False

    async def wait(self) -> str:
        """Wait until the status is 2 no more, without a limit; returns why."""
        while (status := self._status()) == usbip_host.IN_USE:
            await asyncio.sleep(POLL_S)
        if status == usbip_host.ERROR:
            return "the stub is in its error state"
        if status == usbip_host.AVAILABLE:
            return "ended here" if self._ended_by_us else "the client is gone"
        if usbip_host.devnum(self._busid) in {self._devnum, _IN_RESET}:
            return f"the device was taken from {usbip_host.NAME}"
        return "unplugged"

    def end(self) -> None:
        """Shut the socket; the kernel kills what is in flight and resets the device."""
        if self._status() == usbip_host.IN_USE and not self._ended_by_us:
            self._ended_by_us = True
            in_background(lambda: usbip_host.stop(self._busid))

    def _status(self) -> int | None:
        if usbip_host.devnum(self._busid) not in {self._devnum, _IN_RESET}:
            return None
        return usbip_host.status(self._busid)


def _is_there(device: LocalDevice) -> bool:
    return usbip_host.devnum(device.busid) in {device.devnum, _IN_RESET}


def _take(device: LocalDevice) -> None:
    """Take this device, and no other one that is in its port by the time the kernel is asked."""
    if _is_there(device):
        usbip_host.take(device.busid)
        if _is_there(device):
            return
        usbip_host.give_back(device.busid)
    raise DeviceFaultError(f"{device.busid} was unplugged")


def _give_back(device: LocalDevice) -> None:
    if _is_there(device):
        usbip_host.give_back(device.busid)


def _hand_over(busid: str, fd: int, abandoned: threading.Event) -> None:
    """Hand over a descriptor of our own; nobody may use a session that was waited for in vain."""
    try:
        usbip_host.hand_over(busid, fd)
    finally:
        os.close(fd)
    if abandoned.is_set():
        usbip_host.stop(busid)


class KernelStub(Stub):
    """Exports through `usbip-host`."""

    name = "kernel"

    def __init__(self) -> None:
        """Raises `PrerequisiteError` where the kernel's stub cannot be had."""
        missing = self.why_unavailable()
        if missing:
            raise PrerequisiteError(missing)
        self._busy: set[str] = set()

    @classmethod
    def why_unavailable(cls) -> str | None:
        """What is missing here, and what to do; None if nothing is. Tries to load the module."""
        return usbip_host.why_unavailable()

    async def take(self, device: LocalDevice) -> None:
        """Bind the device to usbip-host; from the error state back into service."""
        await self._call(device.busid, lambda: _take(device))

    async def give_back(self, device: LocalDevice) -> None:
        """End its session, unbind it, and let the kernel choose its driver."""
        if _is_there(device):
            await self._call(device.busid, lambda: _give_back(device))

    async def start(
        self, device: LocalDevice, stream: socket.socket, reply: bytes, dead_client_s: float
    ) -> Session:
        """Hand the socket over, send the reply, and watch."""
        notice_death(stream, dead_client_s)
        self._must_be_free(device.busid)
        abandoned = threading.Event()
        fd = os.dup(stream.fileno())  # a number that stays this stream's, however long it takes
        try:
            await self._call(device.busid, lambda: _hand_over(device.busid, fd, abandoned))
        except BaseException:
            abandoned.set()
            raise
        session = KernelSession(device)
        try:
            if stream.send(reply) != len(reply):
                session.end()
        except BlockingIOError:
            session.end()
        except OSError:
            pass  # the client is gone already, and the kernel is about to find out
        # Only our copy: shutting the stream down would end the kernel's.
        stream.close()
        return session

    def session_found(self, device: LocalDevice) -> Session | None:
        """A session of a daemon that was killed, or of usbipd: it outlives them."""
        if usbip_host.status(device.busid) == usbip_host.IN_USE:
            return KernelSession(device)
        return None

    def close(self) -> None:
        """Nothing is held: devices stay where they are."""

    async def _call(self, busid: str, call: Callable[[], None]) -> None:
        """Make a call that may hang in the kernel; at most one for each device."""
        self._must_be_free(busid)
        self._busy.add(busid)

        def call_and_tell() -> None:
            try:
                call()
            finally:
                self._busy.discard(busid)

        await within_limit(call_and_tell, f"the device {busid}")

    def _must_be_free(self, busid: str) -> None:
        if busid in self._busy:
            raise DeviceFaultError(f"the kernel is still busy with {busid}: does it hang?")
