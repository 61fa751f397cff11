"""The server's end of a URB stream, as a test wants it to behave, over a real socket."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gadgetip.pump import UrbStream
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Direction,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    ServerMessage,
)

DEVID = 0x10007
LIMIT_S = 10.0
"""How long a test waits for what should come at once."""

RECEIVE_BYTES = 64 * 1024


@dataclass
class Stub:
    """A server that answers nothing by itself."""

    stream: socket.socket
    connection: ServerConnection = field(
        default_factory=lambda: ServerConnection.after_import(DEVID)
    )

    async def next(self) -> ClientMessage | ConnectionClosed:
        """What the client says next."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT_S):
            while (event := self.connection.next_event()) is NEED_DATA:
                if data := await loop.sock_recv(self.stream, RECEIVE_BYTES):
                    self.connection.receive_data(data)
                else:
                    self.connection.receive_eof()
        return event

    async def submit(self) -> CmdSubmit:
        """The submit that comes next."""
        message = await self.next()
        assert isinstance(message, CmdSubmit), message
        return message

    async def unlink(self) -> CmdUnlink:
        """The unlink that comes next."""
        message = await self.next()
        assert isinstance(message, CmdUnlink), message
        return message

    async def send(self, *messages: ServerMessage) -> None:
        """Say something; all of it in one piece."""
        await self.send_raw(b"".join(map(self.connection.send, messages)))

    async def send_raw(self, data: bytes) -> None:
        """Say something that is no message."""
        async with asyncio.timeout(LIMIT_S):
            await asyncio.get_running_loop().sock_sendall(self.stream, data)

    async def answer(self, submit: CmdSubmit, data: bytes = b"", status: int = 0) -> None:
        """Answer a submit: with data, or as a write that took everything."""
        await self.send(ret(submit, data, status))

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()


def ret(submit: CmdSubmit, data: bytes = b"", status: int = 0) -> RetSubmit:
    is_in = submit.direction is Direction.IN
    length = len(data) if is_in else submit.transfer_buffer_length * (status == 0)
    return RetSubmit(submit.seqnum, status, length, data=data)


def ret_unlink(unlink: CmdUnlink, status: int) -> RetUnlink:
    return RetUnlink(unlink.seqnum, status)


@dataclass
class Ends:
    """A client's stream of URBs and the server that it talks to."""

    urbs: UrbStream
    stub: Stub
    ended: asyncio.Event
    """Set when the stream has told its owner that it ended."""

    async def wait_for_end(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self.ended.wait()


@asynccontextmanager
async def linked(*, send_buffer: int | None = None, next_seqnum: int = 1) -> AsyncIterator[Ends]:
    """A stream over TCP on loopback, attached to the running loop."""
    ours, theirs = tcp_pair()
    if send_buffer is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    urbs = UrbStream(
        ours, ClientConnection.after_import(DEVID), DEVID, next_seqnum=next_seqnum
    ).attach()
    ended = asyncio.Event()
    urbs.on_ended = lambda _: ended.set()
    try:
        yield Ends(urbs, Stub(theirs), ended)
    finally:
        urbs.close()
        theirs.close()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a TCP connection, both non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=LIMIT_S)
        theirs, _ = listener.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs
