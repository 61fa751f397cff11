"""Listening sockets: names and addresses to sockets, one for each, IPv4 and IPv6 apart.

An IPv6 socket that also takes IPv4 makes a client's address look different from what a policy's
`clients` says, and whether it does is a setting of the machine. So each socket takes one family
(IPV6_V6ONLY), and both kinds are opened where both are wanted.

An address that this machine does not have yet is listened on all the same (IP_FREEBIND): at boot a
VPN or DHCP may bring it later, and a server that had given up would stay down until somebody looks.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gadgetip.errors import GadgetipError, PrerequisiteError, UsageError
from gadgetip.link import HostAddress

BACKLOG = 128
FULL_PAUSE_S = 0.5
_IP_FREEBIND = 15  # include/uapi/linux/in.h; the socket module has no name for it
_IPV6_FREEBIND = 78  # include/uapi/linux/in6.h
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class Peer:
    """A client: its numeric address and port."""

    address: str
    port: int

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address to compare with a policy; an IPv4 client of an IPv6 socket is IPv4."""
        found = ipaddress.ip_address(self.address)
        if isinstance(found, ipaddress.IPv6Address):
            return found.ipv4_mapped or found
        return found

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def open_listeners(hosts: Iterable[str], port: int) -> tuple[socket.socket, ...]:
    """Listen on every address that `hosts` name, at `port` unless a host has its own.

    Raises `UsageError` for a name without an address, `PrerequisiteError` for a port that is taken;
    then nothing is left open. A machine without IPv6 does without `::1` and `::`, as long as
    something else is listened on. An address that is not this machine's may become it:
    `missing_addresses` tells which these are.
    """
    opened: list[socket.socket] = []
    skipped: list[str] = []
    try:
        for family, sockaddr in _resolve(hosts, port):
            try:
                opened.append(_listen(family, sockaddr))
            except OSError as error:
                text = _sentence(error, sockaddr)
                if sockaddr[0] in {"::", "::1"} and error.errno in _NO_IPV6:
                    skipped.append(text)
                    continue
                raise PrerequisiteError(text) from None
        if not opened:
            raise PrerequisiteError(skipped[0] if skipped else "there is no address to listen on")
    except GadgetipError:
        for listener in opened:
            listener.close()
        raise
    return tuple(opened)


def address_text(listener: socket.socket) -> str:
    """Where a socket listens: "127.0.0.1:3240", "[::1]:3240"."""
    address, port = listener.getsockname()[:2]
    return str(Peer(address, port))


def public_addresses(listeners: Iterable[socket.socket]) -> tuple[str, ...]:
    """Where other machines can reach us: every address but the loopback ones."""
    return tuple(
        address_text(listener)
        for listener in listeners
        if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    )


def is_loopback_name(host: str) -> bool:
    """Whether listening on this name or address, with or without a port, keeps others out.

    A name that is none of the loopback's may lead anywhere.
    """
    name = HostAddress.parse(host).host
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def missing_addresses(listeners: Iterable[socket.socket]) -> tuple[str, ...]:
    """The addresses listened on that this machine does not have now."""
    return tuple(address_text(listener) for listener in listeners if not _is_here(listener))


def _is_here(listener: socket.socket) -> bool:
    """Whether a socket without IP_FREEBIND can be bound to the same address."""
    address, _, *rest = listener.getsockname()
    try:
        with socket.socket(listener.family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0, *rest))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


async def accept_forever(
    listener: socket.socket,
    welcome: Callable[[socket.socket, Peer], None],
    complain: Callable[[str], None],
) -> None:
    """Accept until cancelled; `welcome` owns each connection.

    Where no more files can be opened, connections wait in the backlog while others end; without a
    pause the loop would ask again at once, for ever.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            stream, sockaddr = await loop.sock_accept(listener)
        except OSError as error:
            if error.errno in _FULL:
                complain(f"cannot accept a connection: {error.strerror}; others must end first")
                await asyncio.sleep(FULL_PAUSE_S)
            else:
                # The connection was gone before we came to it, or its network is down: accept(2)
                # hands on such errors, and they say nothing about the next one.
                await asyncio.sleep(0)
            continue
        stream.setblocking(False)
        welcome(stream, Peer(str(sockaddr[0]), int(sockaddr[1])))


def _resolve(hosts: Iterable[str], port: int) -> list[tuple[int, tuple[str, int]]]:
    """Every address of every host, each once, in order."""
    found: dict[tuple[int, tuple[str, int]], None] = {}
    for host in hosts:
        parsed = HostAddress.parse(host)
        # HostAddress fills in the protocol's port where none is written.
        own_port = parsed.port if _names_port(host) else port
        try:
            infos = socket.getaddrinfo(
                parsed.host, own_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (socket.gaierror, UnicodeError) as error:
            reason = error.strerror if isinstance(error, socket.gaierror) else "not a host name"
            raise UsageError(f"no address is known for --listen {host!r}: {reason}") from None
        for family, _, _, _, sockaddr in infos:
            if family in {socket.AF_INET, socket.AF_INET6}:
                found[int(family), sockaddr] = None  # type: ignore[index]
    return list(found)


def _names_port(host: str) -> bool:
    return "]:" in host if host.startswith("[") else host.count(":") == 1


def _listen(family: int, sockaddr: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # What is always here is not waited for: a machine without ::1 has no IPv6.
        if not ipaddress.ip_address(sockaddr[0]).is_loopback:
            _let_it_come_later(listener)
        listener.bind(sockaddr)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _let_it_come_later(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):  # then bind() says that the address is not here
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def _sentence(error: OSError, sockaddr: tuple[str, int]) -> str:
    where = str(Peer(sockaddr[0], sockaddr[1]))
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: is usbipd running? or use --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{sockaddr[0]} is no address of this machine: `ip address` lists them"
    if error.errno == errno.EACCES:
        return f"listening on {where} needs root: a port below 1024"
    return f"cannot listen on {where}: {error.strerror}"
