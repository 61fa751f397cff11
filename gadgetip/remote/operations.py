"""The two operations that USB/IP has before URBs flow: list, and import.

Each is one connection, one request and one reply (Documentation/usb/usbip_protocol.rst). After a
granted import the same connection carries the URBs of that device and nothing else, so not a byte
more than the reply is taken out of it: the stream may be handed to the kernel.
"""

import asyncio
import socket
from dataclasses import dataclass

from gadgetip.errors import DeviceUnpluggedError, GadgetipError, LinkLostError
from gadgetip.link import Endpoints, HostAddress, connect
from gadgetip.pump import UrbStream
from gadgetip.remote.stale_session import connect_as_before
from gadgetip.usb import Speed
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    ConnectionClosed,
    DeviceRecord,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
)

REPLY_LIMIT_S = 10.0
"""How long a server may take to answer; an import may have to reset the device first."""

BUSY_LIMIT_S = 6.0
BUSY_POLL_S = 0.2


class NotExportedError(GadgetipError):
    """The server has no such device to give now; it may have it later."""


class DeviceBusyError(GadgetipError):
    """Another client has the device now."""


@dataclass(slots=True)
class ImportedDevice:
    """A device that this machine holds, until the stream is closed."""

    address: HostAddress
    record: DeviceRecord
    stream: socket.socket
    connection: ClientConnection
    next_seqnum: int = 1

    @property
    def speed(self) -> Speed:
        """The speed at which the device runs at the server."""
        return Speed.from_wire(self.record.speed)

    def urbs(self) -> UrbStream:
        """The stream as a carrier of URBs; attach it to an event loop before use."""
        return UrbStream(
            self.stream, self.connection, self.record.devid, next_seqnum=self.next_seqnum
        )

    def close(self) -> None:
        """Give the device back; the server resets it."""
        self.stream.close()


async def list_devices(address: HostAddress) -> tuple[DeviceRecord, ...]:
    """What the server exports and nobody uses. Raises `LinkLostError`, `RemoteProtocolError`."""
    stream = await connect(address)
    try:
        reply = await _ask(address, stream, ClientConnection(), ReqDevlist())
    finally:
        stream.close()
    assert isinstance(reply, RepDevlist)
    if reply.status is not OpStatus.OK:
        raise GadgetipError(f"{address} gave no list: {reply.status.sentence}")
    return reply.devices


async def import_device(
    address: HostAddress, busid: str, *, busy_limit_s: float = BUSY_LIMIT_S
) -> ImportedDevice:
    """Import one device by its bus id.

    A server needs a moment to take a device back from the client before us (it resets it), so
    "in use" is asked again for `busy_limit_s` seconds. The first time, it is asked from where this
    machine imported the device last: that ends a session which outlived us (`stale_session`).
    Raises `NotExportedError`, `DeviceBusyError`, `GadgetipError` with the server's reason in words,
    `LinkLostError`, `RemoteProtocolError`.
    """
    deadline = asyncio.get_running_loop().time() + busy_limit_s
    status, imported, ends = await _try_import(address, busid)
    if status is OpStatus.DEV_BUSY and ends is not None:
        stream = await connect_as_before(ends, busid)
        if stream is not None:
            status, imported, _ = await _import_through(address, stream, busid)
    while (
        imported is None
        and status is OpStatus.DEV_BUSY
        and asyncio.get_running_loop().time() < deadline
    ):
        await asyncio.sleep(BUSY_POLL_S)
        status, imported, _ = await _try_import(address, busid)
    if imported is not None:
        return imported
    kind = _REFUSALS.get(status, GadgetipError)
    raise kind(f"{address} did not give {busid}: {status.sentence}")


_REFUSALS = {
    OpStatus.NODEV: NotExportedError,
    OpStatus.NA: NotExportedError,
    OpStatus.DEV_BUSY: DeviceBusyError,
}

_Answer = tuple[OpStatus, ImportedDevice | None, Endpoints | None]


async def _try_import(address: HostAddress, busid: str) -> _Answer:
    return await _import_through(address, await connect(address), busid)


async def _import_through(address: HostAddress, stream: socket.socket, busid: str) -> _Answer:
    """Ask for a device on a stream, which is closed unless it carries the device then."""
    try:
        ends = Endpoints.of(stream)
        connection = ClientConnection()
        reply = await _ask(address, stream, connection, ReqImport(busid))
        assert isinstance(reply, RepImport)
        if reply.device is None:
            stream.close()
            return reply.status, None, ends
        return reply.status, ImportedDevice(address, reply.device, stream, connection), ends
    except BaseException:
        stream.close()
        raise


async def is_still_exported(address: HostAddress, busid: str) -> GadgetipError:
    """Ask a server whose connection has ended why; returns the error that tells.

    A device that left the server's port is not in its list any more (`DeviceUnpluggedError`). One
    that is there, or a server that does not answer, means that the link was lost
    (`LinkLostError`). A server lists nothing that is in use, and takes a moment to notice that we
    are gone, so a device that is missing is asked for again, and at last by name.
    """
    for pause_s in (0.0, 0.5, 1.0):
        await asyncio.sleep(pause_s)
        try:
            devices = await list_devices(address)
        except GadgetipError as error:
            return LinkLostError(f"the server is gone: {error}")
        if any(device.busid == busid for device in devices):
            return LinkLostError(f"the connection to {address} broke; the device is still there")
    try:
        status, imported, _ = await _try_import(address, busid)
    except GadgetipError as error:
        return LinkLostError(f"the server is gone: {error}")
    if imported is not None:
        imported.close()
    if status not in {OpStatus.NODEV, OpStatus.NA}:
        return LinkLostError(f"the connection to {address} broke; the device is still there")
    return DeviceUnpluggedError(f"the device {busid} was unplugged at {address}")


async def _ask(
    address: HostAddress,
    stream: socket.socket,
    connection: ClientConnection,
    request: ReqDevlist | ReqImport,
) -> object:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(REPLY_LIMIT_S):
            await loop.sock_sendall(stream, connection.send(request))
            while (reply := connection.next_event()) is NEED_DATA:
                if received := await loop.sock_recv(stream, connection.wanted):
                    connection.receive_data(received)
                else:
                    connection.receive_eof()
    except TimeoutError:
        raise LinkLostError(
            f"{address} accepted the connection and then said nothing for {REPLY_LIMIT_S:.0f} s: "
            "is that a USB/IP server?"
        ) from None
    except OSError as error:
        raise LinkLostError(f"the connection to {address} broke: {error.strerror}") from None
    if isinstance(reply, ConnectionClosed):
        raise LinkLostError(f"{address} closed the connection instead of answering")
    return reply
