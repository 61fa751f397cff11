"""A TCP stream that is quick and that notices when its peer is dead.

Three settings decide how long a dead peer goes unnoticed. Keepalive probes an idle connection
(first probe after 5 s, then every second, five unanswered ones end it), but is silent while sent
data waits for its acknowledgement; there the retransmission timer rules, which by default gives
up after a quarter of an hour. TCP_USER_TIMEOUT bounds that case. With both, a silent peer is gone
within about ten seconds whether the link was idle or in the middle of a transfer.
"""

import asyncio
import socket
import threading
from dataclasses import dataclass
from typing import Any

from gadgetip.errors import LinkLostError
from gadgetip.link.address import HostAddress

CONNECT_LIMIT_S = 5.0
KEEPALIVE_IDLE_S = 5
KEEPALIVE_INTERVAL_S = 1
KEEPALIVE_PROBES = 5
USER_TIMEOUT_MS = 10_000


class UnknownHostError(LinkLostError):
    """No address is known for the server's name."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Both ends of a connection: `local` and `peer` are socket addresses, host and port first."""

    family: int
    local: tuple[Any, ...]
    peer: tuple[Any, ...]

    @classmethod
    def of(cls, stream: socket.socket) -> "Endpoints | None":
        """The ends of a TCP stream that is connected; None for any other."""
        if stream.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        try:
            return cls(stream.family, stream.getsockname(), stream.getpeername())
        except OSError:
            return None


async def connect(address: HostAddress, limit_s: float = CONNECT_LIMIT_S) -> socket.socket:
    """Connect to `address` within `limit_s` seconds; every address that its name has is tried.

    Returns a non-blocking socket. Raises `LinkLostError` that says which of the usual things it
    is: the name is unknown (`UnknownHostError`), nothing listens there, or nothing answered.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await _connect_to_any(address)
    except TimeoutError:
        raise LinkLostError(
            f"{address} did not answer within {limit_s:.0f} s: is it switched on and reachable?"
        ) from None


async def connect_between(ends: Endpoints, limit_s: float = CONNECT_LIMIT_S) -> socket.socket:
    """Connect from one given local address and port to one given peer.

    Raises `OSError`: the port is in use here, this very connection exists, or nobody answers.
    """
    stream = socket.socket(ends.family, socket.SOCK_STREAM)
    try:
        stream.setblocking(False)
        tune(stream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind(ends.local)
        async with asyncio.timeout(limit_s):
            await asyncio.get_running_loop().sock_connect(stream, ends.peer)
    except BaseException:
        stream.close()
        raise
    return stream


async def _connect_to_any(address: HostAddress) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        candidates = await _resolve(address)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a host name"
        raise UnknownHostError(f"no address is known for {address.host!r}: {reason}") from None
    failure: OSError | None = None
    for family, kind, protocol, _, sockaddr in candidates:
        stream = socket.socket(family, kind, protocol)
        try:
            stream.setblocking(False)
            tune(stream)
            await loop.sock_connect(stream, sockaddr)
        except OSError as error:
            stream.close()
            failure = failure or error
        except BaseException:
            stream.close()
            raise
        else:
            return stream
    if isinstance(failure, ConnectionRefusedError):
        raise LinkLostError(
            f"nothing listens on {address.host} port {address.port}: is `usbipd` running there?"
        )
    reason = failure.strerror if failure else "it has no address"
    raise LinkLostError(f"cannot reach {address}: {reason}")


async def _resolve(address: HostAddress) -> list[tuple[Any, ...]]:
    """Look the name up in a thread that nobody has to wait for.

    The resolver cannot be interrupted and may take half a minute; asyncio's own executor is
    waited for when the loop ends, which would make the connect limit a lie.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def settle(result: list[tuple[Any, ...]] | Exception) -> None:
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def look_up() -> None:
        result: list[tuple[Any, ...]] | Exception
        try:
            result = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            result = error
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:
            return  # the loop is closed: the limit had passed

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    return await answer


def tune(stream: socket.socket) -> None:
    """Set what makes a TCP stream prompt and its death noticed (see the head of this module)."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
