"""One client's one request: read, answered, closed, or handed to a stub.

USB/IP allows one request on a connection, and so do we: a list is answered and the stream closed,
an import that is granted makes the stream a session. The whole request has a limit of ten seconds,
however its bytes come, so that whoever sends one a second is closed like whoever sends none; so has
the answer, for whoever does not read it.

Never more is received than the request has (`ServerConnection.wanted`): what a client sends behind
an import is its first URBs, and whoever carries those has to find them in the stream.

A stock server closes what it does not understand, without a word. Ours answers where the request
can be told, so that a client says "failed" at once instead of "connection reset": a wrong version
gets its reply with status ERROR, and in the version that we speak. A busid that could not be one
(control characters, no end) is one that is not exported.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from gadgetip.errors import RemoteProtocolError
from gadgetip.server.admission import LineLimiter, client_network
from gadgetip.server.exporter import Exporter
from gadgetip.server.listeners import Peer
from gadgetip.server.narrator import Narrator
from gadgetip.wire import (
    NEED_DATA,
    VERSION,
    ClientMessage,
    ConnectionClosed,
    NeedData,
    OpCode,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    ServerConnection,
    build,
)

REQUEST_LIMIT_S = 10.0
BURST_LINES = 20
LINGER_LIMIT_S = 1.0
_LINGER_BYTES = 4096
_HEADER_BYTES = 8


class Complaints:
    """The refusals that are told: each, until a client causes more than one a second."""

    def __init__(self, narrator: Narrator, lines: LineLimiter | None = None) -> None:
        """`lines` is shared by all connections."""
        self._narrator = narrator
        self._lines = lines or LineLimiter(burst=BURST_LINES)

    def tell(self, client: Peer, text: str, **fields: object) -> None:
        """Say that this client was refused, unless one like it was refused within a second."""
        now = asyncio.get_running_loop().time()
        left_out = self._lines.admit(f"client {client_network(client.address)}", now)
        if left_out is not None:
            more = f" (and {left_out} more)" if left_out else ""
            self._narrator.warn("refused", text + more, client=str(client), **fields)


def _nothing() -> None:
    pass


async def answer_client(
    stream: socket.socket,
    client: Peer,
    exporter: Exporter,
    complaints: Complaints,
    has_asked: Callable[[], None] = _nothing,
) -> None:
    """Answer the one request of a non-blocking stream; it is closed, or a stub's, afterwards.

    `has_asked` is called when the request is here: from then on the task must not be cancelled but
    at the end of everything, because a session may be beginning.
    """
    owned = True
    try:
        owned = not await _converse(stream, client, exporter, complaints, has_asked)
        if owned:
            await _linger(stream)
    except TimeoutError:
        complaints.tell(
            client,
            f"{client} was closed: no whole request, or nobody to read the answer, within "
            f"{REQUEST_LIMIT_S:.0f} s",
        )
    except RemoteProtocolError as error:
        complaints.tell(client, f"{client} was closed: {error}")
    except OSError:
        pass  # the client is gone
    finally:
        if owned:
            stream.close()


async def _converse(
    stream: socket.socket,
    client: Peer,
    exporter: Exporter,
    complaints: Complaints,
    has_asked: Callable[[], None],
) -> bool:
    """Read the request and answer it; whether the stream has become a session."""
    connection = ServerConnection()
    request = await _receive_request(stream, connection)
    has_asked()
    if isinstance(request, ReqDevlist):
        listing = RepDevlist(OpStatus.OK, exporter.listing(client))
        await _send(stream, connection.send(listing))
    elif isinstance(request, ReqImport):
        # No limit of ours around this: a stub that begins has its own, and must not be cut short.
        status, why = await exporter.open_session(
            request.busid, client, stream, lambda record: build(RepImport(OpStatus.OK, record))
        )
        if status is OpStatus.OK:
            return True
        complaints.tell(
            client,
            f"{client} asked for {request.busid!a}: {why}",
            published_as=request.busid,
            status=status.name,
        )
        await _send(stream, connection.send(RepImport(status)))
    return False


async def _receive_request(
    stream: socket.socket, connection: ServerConnection
) -> ClientMessage | ConnectionClosed:
    loop = asyncio.get_running_loop()
    header = b""
    try:
        async with asyncio.timeout(REQUEST_LIMIT_S):
            while (request := connection.next_event()) is NEED_DATA:
                data = await loop.sock_recv(stream, connection.wanted)
                if data:
                    header = (header + data)[:_HEADER_BYTES]
                    connection.receive_data(data)
                else:
                    connection.receive_eof()
    except RemoteProtocolError:
        reply = reply_to_malformed(header)
        if reply:
            await _send(stream, reply)
            await _linger(stream)
        raise
    assert not isinstance(request, NeedData)
    return request


async def _send(stream: socket.socket, answer: bytes) -> None:
    async with asyncio.timeout(REQUEST_LIMIT_S):
        await asyncio.get_running_loop().sock_sendall(stream, answer)


def reply_to_malformed(header: bytes) -> bytes:
    """What to answer to a request that could not be read, b"" if it cannot be told what it was."""
    if len(header) < _HEADER_BYTES:
        return b""
    version, code = int.from_bytes(header[:2]), int.from_bytes(header[2:4])
    intact = version == VERSION and not any(header[4:])
    if code == OpCode.REQ_IMPORT:
        return build(RepImport(OpStatus.NODEV if intact else OpStatus.ERROR))
    if code == OpCode.REQ_DEVLIST:
        return build(RepDevlist(OpStatus.ERROR))
    return b""


async def _linger(stream: socket.socket) -> None:
    """Let the client read the answer: closing over unread bytes would reset the connection."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        stream.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(LINGER_LIMIT_S):
            left = _LINGER_BYTES
            while left > 0 and (data := await loop.sock_recv(stream, left)):
                left -= len(data)
