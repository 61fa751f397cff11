"""What is plugged in and out, within milliseconds.

The kernel announces every device on a netlink socket, and that is what is followed, whether udevd
runs or not. Where it runs, it says the same again when its rules are through. That is seconds later
on a busy machine (measured: 2 s, with 15 tasks waiting for two processors), and a bootloader is to
be exported within half a second. What udevd adds, owners of device nodes and names from its
database, an exporting side does not need: it is root and reads sysfs.

A device is announced when it is there, and again when this machine's drivers have it ("bind", since
Linux 4.14), because only then can it be taken away from them; so an appearance may be told twice,
and once more for a device that a stub has given back. Whoever follows compares what is with what
should be; he does not count.

The socket's buffer is finite. When it was too small for a burst, events are lost, and the kernel
says only that (ENOBUFS): `Resynchronise`, read everything again.
"""

import asyncio
import contextlib
import errno
import socket
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import pyudev

from gadgetip.errors import PrerequisiteError

_BUFFER_BYTES = 1 << 20  # a few hundred devices at once; needs CAP_NET_ADMIN
_BURST = 64  # events that are taken before others of the loop have their turn


@dataclass(frozen=True, slots=True)
class DeviceAppeared:
    """A device is there, or this machine's drivers have it now."""

    busid: str


@dataclass(frozen=True, slots=True)
class DeviceVanished:
    """A device was unplugged."""

    busid: str


@dataclass(frozen=True, slots=True)
class Resynchronise:
    """Events were lost: read the inventory again."""


HotplugEvent = DeviceAppeared | DeviceVanished | Resynchronise


class Hotplug:
    """Events of USB devices, hubs included, from the moment of its making.

        with Hotplug() as hotplug:
            devices = read_inventory()      # nothing is missed in between
            async for event in hotplug: ...

    One task at a time may iterate; `close` ends the iteration from anywhere in the loop's thread.
    Raises `PrerequisiteError` where the kernel gives no such socket.
    """

    def __init__(self, source: Literal["kernel", "udev"] = "kernel") -> None:
        """Begin to listen, to the kernel's own word or to udevd's."""
        # A context of its own: libudev's reference counts are no matter of two threads.
        try:
            self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)
            self._monitor.filter_by("usb", "usb_device")
            with contextlib.suppress(OSError):
                self._monitor.set_receive_buffer_size(_BUFFER_BYTES)
            self._monitor.start()
        except ImportError:
            raise PrerequisiteError("libudev is missing: apt install libudev1") from None
        except OSError as error:
            raise PrerequisiteError(
                f"the kernel announces no devices here ({error}): run it in the host's network"
            ) from None
        self._pending: deque[HotplugEvent] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._closed = False

    def __enter__(self) -> "Hotplug":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The socket, which is readable when there may be an event."""
        return int(self._monitor.fileno())

    def close(self) -> None:
        """Stop listening; whoever iterates is through. May be called twice."""
        self._closed = True
        self._wake()

    def __aiter__(self) -> "Hotplug":
        return self

    async def __anext__(self) -> HotplugEvent:
        """Wait for the next event, without a limit; may be cancelled, which loses nothing."""
        while not self._closed:
            if not self._pending:
                self._receive()
            if self._pending:
                return self._pending.popleft()
            await self._readable()
        raise StopAsyncIteration

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        loop.add_reader(self.fileno(), self._wake)
        try:
            await self._waiting
        finally:
            loop.remove_reader(self.fileno())
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _receive(self) -> None:
        """Take what is in the socket, a burst at most."""
        for _ in range(_BURST):
            try:
                device = self._monitor.poll(0)
            except OSError as error:
                # Polling sees that there is an error, receiving sees which.
                number = error.errno or self._take_socket_error()
                if number != errno.ENOBUFS:
                    raise
                self._pending.clear()
                self._pending.append(Resynchronise())
                continue
            if device is None:
                return
            driver = device.properties.get("DRIVER")
            event = hotplug_event(device.action, driver, device.sys_name)
            if event is not None and event not in [*self._pending][-1:]:
                self._pending.append(event)

    def _take_socket_error(self) -> int:
        with socket.fromfd(self.fileno(), socket.AF_NETLINK, socket.SOCK_RAW) as same:
            return same.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def hotplug_event(action: str | None, driver: str | None, busid: str) -> HotplugEvent | None:
    """What an action of the kernel's means to an exporting side; None: nothing."""
    if action == "add" or (action == "bind" and driver == "usb"):
        return DeviceAppeared(busid)
    return DeviceVanished(busid) if action == "remove" else None
