"""When the network comes back: an address, a route or a carrier that was not there before.

The kernel says so on a netlink socket (rtnetlink(7)). Only what makes a server reachable is news:
wireless interfaces also report every scan, and a lease that is renewed reports its address.

    struct nlmsghdr   length, type, flags, sequence, port: 4+2+2+4+4 bytes
    struct ifinfomsg  family, pad, type, index, flags, change: 1+1+2+4+4+4 bytes
"""

import socket
import struct
from collections.abc import Iterator

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 20, 24
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 0x1, 0x10, 0x40
RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE = 0x100, 0x400
IFF_RUNNING = 0x40
MAX_MESSAGE_BYTES = 64 * 1024
_BURST = 64

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BBHiII")


class Links:
    """Which interfaces were running, to tell a carrier that came back from other reports."""

    def __init__(self) -> None:
        self._running: set[int] = set()

    def is_news(self, data: bytes) -> bool:
        """Whether a datagram of the kernel's says that something may be reachable now."""
        news = [self._is_news(kind, body) for kind, body in _messages(data)]  # look at each
        return any(news)

    def _is_news(self, kind: int, body: bytes) -> bool:
        if kind in {RTM_NEWADDR, RTM_NEWROUTE}:
            return True
        if kind not in {RTM_NEWLINK, RTM_DELLINK} or len(body) < _LINK.size:
            return False
        _, _, _, index, flags, _ = _LINK.unpack_from(body)
        if kind == RTM_DELLINK or not flags & IFF_RUNNING:
            self._running.discard(index)
            return False
        if index in self._running:
            return False
        self._running.add(index)
        return True


class NetworkNews:
    """The kernel's announcements; `fileno` is readable when there may be some."""

    def __init__(self) -> None:
        """Begin to listen; raises `OSError`."""
        self._links = Links()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE
            self._socket.bind((0, groups | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The socket."""
        return self._socket.fileno()

    def receive(self) -> bool:
        """Take what was announced; returns whether there was news."""
        news = False
        for _ in range(_BURST):
            try:
                data = self._socket.recv(MAX_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: something was missed
                news = True
                continue
            news |= self._links.is_news(data)
        return news

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message of a datagram; what is cut short is left out."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]
