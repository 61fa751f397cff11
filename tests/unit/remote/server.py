"""A USB/IP server on loopback that exports descriptor trees, well or badly behaved."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from gadgetip.link import HostAddress
from gadgetip.usb import (
    DescriptorType,
    DeviceTree,
    SetupPacket,
    build_configuration,
    build_langids,
    build_string_descriptor,
)
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

Answer = bytes | int | None
"""Of a control request: data, a negative errno, or None for none at all."""


@dataclass
class Exported:
    """A device that the server has, and how it answers."""

    record: DeviceRecord
    tree: DeviceTree
    refusals: list[OpStatus] = field(default_factory=list)
    """What the next imports are answered with."""
    answer: Callable[[SetupPacket], "Answer | NotImplementedError"] | None = None
    """Answers a request before the device does; `NotImplementedError` leaves it to the device."""
    imports: int = 0
    in_use: bool = False


class Server:
    """Serves until its context ends."""

    def __init__(self, *devices: Exported) -> None:
        self.devices = {device.record.busid: device for device in devices}
        self.listed = list(self.devices)
        self.list_status = OpStatus.OK
        self.raw_reply: bytes | None = None
        """What every request is answered with instead; empty: the connection is closed."""
        self.silent = False
        self.lists = 0
        self.changed = asyncio.Event()
        self.address: HostAddress

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = ServerConnection()
        device: Exported | None = None
        try:
            while True:
                while (event := connection.next_event()) is NEED_DATA:
                    if not (data := await reader.read(4096)):
                        return
                    connection.receive_data(data)
                if isinstance(event, ConnectionClosed):
                    return
                if self.silent:
                    continue
                if self.raw_reply is not None:
                    writer.write(self.raw_reply)
                    return
                if isinstance(event, ReqImport):
                    device = self._import(connection, writer, event)
                else:
                    self._reply(connection, writer, event, device)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            if device is not None:
                device.in_use = False
            self.changed.set()
            writer.close()

    def _import(
        self, connection: ServerConnection, writer: asyncio.StreamWriter, request: ReqImport
    ) -> Exported | None:
        device = self.devices.get(request.busid)
        status = OpStatus.OK if device else OpStatus.NODEV
        if device is not None and device.refusals:
            status = device.refusals.pop(0)
        if device is None or status is not OpStatus.OK:
            writer.write(connection.send(RepImport(status)))
            return None
        device.imports += 1
        device.in_use = True
        record = replace(device.record, interfaces=())
        writer.write(connection.send(RepImport(OpStatus.OK, record)))
        return device

    def _reply(
        self,
        connection: ServerConnection,
        writer: asyncio.StreamWriter,
        event: ClientMessage,
        device: Exported | None,
    ) -> None:
        if isinstance(event, ReqDevlist):
            self.lists += 1
            ok = self.list_status is OpStatus.OK
            records = tuple(self.devices[busid].record for busid in self.listed if ok)
            writer.write(connection.send(RepDevlist(self.list_status, records)))
        elif isinstance(event, CmdUnlink):
            writer.write(connection.send(RetUnlink(event.seqnum, -errno.ECONNRESET)))
        elif isinstance(event, CmdSubmit):
            assert device is not None
            answer = _answer(device, SetupPacket.unpack(event.setup))
            if answer is None:
                return
            status, data = (answer, b"") if isinstance(answer, int) else (0, answer)
            data = data[: event.transfer_buffer_length]
            writer.write(connection.send(RetSubmit(event.seqnum, status, len(data), data=data)))


def _answer(device: Exported, setup: SetupPacket) -> Answer:
    if device.answer is not None:
        answer = device.answer(setup)
        if not isinstance(answer, NotImplementedError):
            return answer
    tree = device.tree
    kind, index = setup.wValue >> 8, setup.wValue & 0xFF
    if kind == DescriptorType.DEVICE:
        return tree.device.data
    if kind == DescriptorType.CONFIGURATION and index < len(tree.configurations):
        return build_configuration(tree.configurations[index])
    if kind == DescriptorType.BOS and tree.bos:
        return tree.bos
    if kind == DescriptorType.DEVICE_QUALIFIER and tree.qualifier:
        return tree.qualifier
    if kind == DescriptorType.STRING and index == 0 and tree.strings.langids:
        return build_langids(tree.strings.langids)
    if kind == DescriptorType.STRING:
        text = tree.strings.get(index, setup.wIndex)
        if text is not None:
            return build_string_descriptor(text)
    return -errno.EPIPE


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """Run a server on a free port of loopback."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.address = HostAddress("127.0.0.1", port)
    async with listener:
        yield server
