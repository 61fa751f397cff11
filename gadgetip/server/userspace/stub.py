"""Which devices the user-space stub has taken, and who uses them.

A taken device is open and claimed until it is given back. When this process dies, the kernel closes
the device, but no driver takes its interfaces by itself; so `give_back` returns devices to their
drivers whether or not this process has taken them.
"""

import asyncio
import socket
from dataclasses import dataclass
from typing import ClassVar, Final

from gadgetip.errors import PrerequisiteError
from gadgetip.server.dead_client import notice_death
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import DeviceFaultError, DeviceInUseError, Session, Stub
from gadgetip.server.userspace.carrier import CarriedSession
from gadgetip.server.userspace.device import LibusbDevice, node_path
from gadgetip.server.userspace.library import load

KERNEL_STUB_DRIVER: Final = "usbip-host"


@dataclass(slots=True)
class _Taken:
    """A device that is ours."""

    busnum: int
    devnum: int
    device: LibusbDevice
    session: CarriedSession | None = None


class UserspaceStub(Stub):
    """Exports devices by libusb."""

    name: ClassVar[str] = "userspace"

    def __init__(self) -> None:
        self._taken: dict[str, _Taken] = {}

    @classmethod
    def why_unavailable(cls) -> str | None:
        """What this machine lacks for this stub, in one line; None if nothing."""
        try:
            load()
        except PrerequisiteError as error:
            return str(error)
        return None

    async def take(self, device: LocalDevice) -> None:
        """Take the device from this machine's drivers; idempotent.

        Raises `PrerequisiteError` (no libusb, no right to the device's node), `DeviceFaultError`.
        """
        if device.driver == KERNEL_STUB_DRIVER:
            raise DeviceFaultError(
                f"{device.busid} is exported by usbip-host: unbind it there first"
            )
        await self._drop_stale(device)
        if device.busid in self._taken:
            return
        opened = await asyncio.to_thread(_open_and_claim, device)
        self._taken[device.busid] = _Taken(device.busnum, device.devnum, opened)

    async def give_back(self, device: LocalDevice) -> None:
        """Return the device to this machine's drivers, after ending its session; idempotent."""
        taken = self._taken.pop(device.busid, None)
        if taken is not None:
            await _end_session(taken)
            await asyncio.to_thread(_return_and_close, taken.device)
        elif device.driver != KERNEL_STUB_DRIVER:
            await asyncio.to_thread(_heal, device)

    async def start(
        self, device: LocalDevice, stream: socket.socket, reply: bytes, dead_client_s: float
    ) -> Session:
        """Begin a session; see `Stub`. The device is taken if it is not yet."""
        taken = self._taken.get(device.busid)
        if taken is not None and taken.session is not None:
            if not taken.session.has_ended:
                raise DeviceInUseError(f"{device.busid} is in use by another client")
            taken.session = None
        try:
            await self.take(device)
        except PrerequisiteError as error:
            raise DeviceFaultError(str(error)) from None
        taken = self._taken[device.busid]
        try:
            notice_death(stream, dead_client_s)
            # The send buffer of a new connection is empty and larger than this.
            stream.send(reply)
        except OSError as error:
            raise DeviceFaultError(f"the client is gone: {error.strerror}") from None
        devid = device.record().devid
        taken.session = CarriedSession(taken.device, stream, devid, device.busid)
        return taken.session

    def close(self) -> None:
        """Close what is still open; its interfaces get no drivers by that."""
        for taken in self._taken.values():
            if taken.session is None or taken.session.has_ended:
                taken.device.close()
        self._taken.clear()

    async def _drop_stale(self, device: LocalDevice) -> None:
        """Close what was at this port before: another device, or this one before a replug."""
        taken = self._taken.get(device.busid)
        if taken is None:
            return
        same = (taken.busnum, taken.devnum) == (device.busnum, device.devnum)
        if not same or taken.device.is_lost:
            del self._taken[device.busid]
            await _end_session(taken)
            await asyncio.to_thread(taken.device.close)


async def _end_session(taken: _Taken) -> None:
    session = taken.session
    if session is not None:
        session.end()
        await session.wait()


def _open_and_claim(device: LocalDevice) -> LibusbDevice:
    opened = LibusbDevice(node_path(device.busnum, device.devnum))
    try:
        opened.claim()
    except DeviceFaultError:
        _return_and_close(opened)
        raise
    return opened


def _return_and_close(device: LibusbDevice) -> None:
    try:
        device.return_to_drivers()
    finally:
        device.close()


def _heal(device: LocalDevice) -> None:
    """Return to its drivers a device that a process which is gone had taken."""
    has_drivers = device.driver is not None and all(each.driver for each in device.interfaces)
    if has_drivers and device.bConfigurationValue:
        return
    node = node_path(device.busnum, device.devnum)
    if not node.exists():
        return
    try:
        opened = LibusbDevice(node)
    except DeviceFaultError:
        return
    _return_and_close(opened)
