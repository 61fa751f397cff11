"""One client's connection, answered as usbipd and the kernel's stub answer it.

What the stub does and a client may notice (drivers/usb/usbip/stub_rx.c, stub_tx.c):

* requests are taken strictly one after the other, and answers leave in the order of completion;
* a CMD_UNLINK for a URB that waits is answered -ECONNRESET, and its RET_SUBMIT never comes; for
  one that is done it is answered 0;
* a URB for an endpoint that the present setting does not have gets no answer at all, and the data
  of an OUT one is then read as a header, which ends the connection;
* the end of a connection cancels what waits and resets the device.

A session is made to be overridden: `granted`, `submitted`, `unlinking` and `returned` are where
the hostile ones differ, and `write` sends any bytes.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from gadgetip.errors import RemoteProtocolError
from gadgetip.usb import SetupPacket
from gadgetip.wire import (
    NEED_DATA,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    DeviceRecord,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerConnection,
)
from tests.emulated.journal import UrbEntry
from tests.emulated.urb import Urb

if TYPE_CHECKING:
    from tests.emulated.device import EmulatedDevice
    from tests.emulated.server import EmulatedServer

log = logging.getLogger(__name__)

RECEIVE_BYTES = 64 * 1024


class Session:
    """One connection; runs on the server's event loop."""

    def __init__(
        self,
        server: "EmulatedServer",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.journal = server.journal
        self.connection = ServerConnection()
        self.device: EmulatedDevice | None = None
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, Urb] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what a hostile session overrides ------------------------------------------------------

    async def granted(self, record: DeviceRecord) -> None:
        """The client is to be given a device."""
        self.write(self.connection.send(RepImport(OpStatus.OK, record)))

    async def listing(self, records: tuple[DeviceRecord, ...]) -> None:
        """The client is to be given a list."""
        self.write(self.connection.send(RepDevlist(OpStatus.OK, records)))

    async def submitted(self, submit: CmdSubmit) -> None:
        """A CMD_SUBMIT came."""
        assert self.device is not None
        urb = self.make_urb(submit)
        self._waiting[submit.seqnum] = urb
        if not self.device.submitted(urb):
            del self._waiting[submit.seqnum]
            address = urb.entry.address
            self.journal.violations.append(f"CMD_SUBMIT to 0x{address:02x}, which is not enabled")
            if not address & 0x80 and submit.transfer_buffer_length:
                self.close()

    async def unlinking(self, unlink: CmdUnlink) -> None:
        """A CMD_UNLINK came."""
        urb = self._waiting.pop(unlink.unlink_seqnum, None)
        if urb is not None:
            urb.take_back()
        status = 0 if urb is None else -errno.ECONNRESET
        self.write(self.connection.send(RetUnlink(unlink.seqnum, status)))

    def returned(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """A URB is done."""
        self.write(self.connection.send(ret))

    # --- for all of them ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send these bytes, whatever they are; more than the socket takes waits in memory."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken most of it; `ConnectionError` when it is gone."""
        await self._writer.drain()

    def close(self) -> None:
        """End the connection in good order, behind what was written."""
        self._writer.close()

    def reset(self) -> None:
        """End the connection as a crash does, with RST."""
        stream = self._writer.get_extra_info("socket")
        if not self._writer.is_closing():
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()

    def spawn(self, working: Coroutine[None, None, None]) -> None:
        """Do something beside serving; it ends with the session."""
        task = asyncio.get_running_loop().create_task(working)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def make_urb(self, submit: CmdSubmit) -> Urb:
        """Note a CMD_SUBMIT in the journal."""
        assert self.device is not None
        is_control = submit.ep == 0
        entry = UrbEntry(
            busid=self.device.busid,
            seqnum=submit.seqnum,
            address=submit.ep | submit.direction << 7,
            length=submit.transfer_buffer_length,
            setup=SetupPacket.unpack(submit.setup) if is_control else None,
            data=bytes(submit.data) if is_control else b"",
        )
        self.journal.entries.append(entry)
        return Urb(submit, entry, self._done)

    async def run(self) -> None:
        """Serve until the client is gone."""
        try:
            while not isinstance(event := await self._receive(), ConnectionClosed):
                await self._handle(event)
                await self.drain()
                if self._writer.is_closing():
                    break
        except RemoteProtocolError as error:
            self.journal.violations.append(str(error))
        except ConnectionError as error:
            log.debug("a client left: %s", error)
        finally:
            self._leave()
            self._writer.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _receive(self) -> ClientMessage | ConnectionClosed:
        while (event := self.connection.next_event()) is NEED_DATA:
            if data := await self._reader.read(RECEIVE_BYTES):
                self.connection.receive_data(data)
            else:
                self.connection.receive_eof()
        return event

    async def _handle(self, event: ClientMessage) -> None:
        if isinstance(event, ReqDevlist):
            self.journal.lists += 1
            await self.listing(self.server.records())
        elif isinstance(event, ReqImport):
            await self._import(event.busid)
        elif isinstance(event, CmdSubmit):
            await self.submitted(event)
        else:
            await self.unlinking(event)

    async def _import(self, busid: str) -> None:
        device = self.server.devices.get(busid)
        if device is None or busid in self.server.in_use:
            status = OpStatus.NODEV if device is None else OpStatus.DEV_BUSY
            self.write(self.connection.send(RepImport(status)))
            return
        self.device = device
        self.server.in_use[busid] = self
        self.journal.imports.append(busid)
        await self.granted(self.server.record(device))

    def _done(self, urb: Urb, ret: RetSubmit) -> None:
        self._waiting.pop(urb.submit.seqnum, None)
        self.returned(urb.submit, ret)

    def _leave(self) -> None:
        for urb in list(self._waiting.values()):
            urb.take_back()
        self._waiting.clear()
        if self.device is not None:
            self.device.reset()
            self.server.in_use.pop(self.device.busid, None)
            self.journal.departures.append(self.device.busid)
