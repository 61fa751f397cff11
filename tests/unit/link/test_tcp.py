"""Connecting over loopback; names are resolved by a resolver of the test's own."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gadgetip.errors import ExitStatus, LinkLostError
from gadgetip.link import Endpoints, HostAddress, connect, connect_between


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return port_of(server)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name have these ports of loopback as its addresses."""

    def getaddrinfo(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
            for port in ports
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_stream_is_prompt_and_notices_a_dead_peer(listener: socket.socket) -> None:
    async def scenario() -> None:
        stream = await connect(HostAddress("127.0.0.1", port_of(listener)))
        with stream:
            options = {
                name: stream.getsockopt(level, getattr(socket, name))
                for level, names in (
                    (
                        socket.IPPROTO_TCP,
                        ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"),
                    ),
                    (socket.SOL_SOCKET, ("SO_KEEPALIVE",)),
                )
                for name in names
            }
            assert options == {
                "TCP_NODELAY": 1,
                "SO_KEEPALIVE": 1,
                "TCP_KEEPIDLE": 5,
                "TCP_KEEPINTVL": 1,
                "TCP_KEEPCNT": 5,
            }
            timeout = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert timeout == 10_000
            assert not stream.getblocking()

    asyncio.run(scenario())


def test_nothing_listens_there() -> None:
    address = HostAddress("127.0.0.1", unused_port())
    with pytest.raises(LinkLostError, match=f"nothing listens on 127.0.0.1 port {address.port}"):
        asyncio.run(connect(address))


def test_every_address_of_a_name_is_tried(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, unused_port(), port_of(listener))
    stream = asyncio.run(connect(HostAddress("nas")))
    assert stream.getpeername() == listener.getsockname()
    stream.close()


def test_the_first_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, unused_port(), unused_port())
    with pytest.raises(LinkLostError, match="nothing listens on nas port 3240"):
        asyncio.run(connect(HostAddress("nas")))


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    with pytest.raises(LinkLostError, match="cannot reach nas: it has no address"):
        asyncio.run(connect(HostAddress("nas")))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "not a host name"),
    ],
)
def test_an_unknown_name(error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(LinkLostError, match=f"no address is known for 'nope': {reason}"):
        asyncio.run(connect(HostAddress("nope")))


def test_an_absurd_name() -> None:
    with pytest.raises(LinkLostError, match="not a host name"):
        asyncio.run(connect(HostAddress("x" * 70 + ".lan")))


def test_a_resolver_that_hangs_does_not_hold_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        let_go.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        # The loop ends as well: it does not wait for the thread.
        with pytest.raises(LinkLostError, match="nas did not answer") as error:
            asyncio.run(connect(HostAddress("nas"), limit_s=0.05))
    finally:
        let_go.set()
    assert error.value.exit_status is ExitStatus.LINK_LOST


def test_a_connection_from_where_the_last_one_came(listener: socket.socket) -> None:
    async def scenario() -> None:
        first = await connect(HostAddress("127.0.0.1", port_of(listener)))
        ends = Endpoints.of(first)
        assert ends is not None
        with pytest.raises(OSError, match=r".+"):  # that very connection exists
            await connect_between(ends)
        # Without a sound, as a machine that lost power.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.close()
        assert Endpoints.of(first) is None
        with await connect_between(ends) as again:
            assert Endpoints.of(again) == ends
            assert again.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            with pytest.raises(OSError, match=r".+"):
                await connect_between(ends)

    asyncio.run(scenario())


def test_a_stream_that_is_no_tcp_has_no_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Endpoints.of(ours) is None
