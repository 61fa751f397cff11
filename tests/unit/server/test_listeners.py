import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest

from gadgetip.errors import GadgetipError
from gadgetip.server import listeners
from gadgetip.server.listeners import (
    FULL_PAUSE_S,
    Peer,
    accept_forever,
    address_text,
    missing_addresses,
    open_listeners,
    public_addresses,
)


@contextlib.contextmanager
def listening(*hosts: str, port: int = 0) -> Iterator[tuple[socket.socket, ...]]:
    opened = open_listeners(hosts, port)
    try:
        yield opened
    finally:
        for listener in opened:
            listener.close()


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_each_address_once_and_families_apart() -> None:
    with listening("127.0.0.1", "127.0.0.1") as opened:
        assert len(opened) == 1
        assert address_text(opened[0]).startswith("127.0.0.1:")
        assert public_addresses(opened) == ()
    with listening("0.0.0.0") as opened:
        assert len(public_addresses(opened)) == 1


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_both_families_on_one_port() -> None:
    with listening("127.0.0.1") as (first,):
        port = first.getsockname()[1]
        with listening("::1", port=port) as (second,):
            assert address_text(second) == f"[::1]:{port}"
            assert second.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_a_machine_without_ipv6_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = listeners._listen

    def without_ipv6(family: int, sockaddr: tuple[str, int]) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return listen(family, sockaddr)

    monkeypatch.setattr(listeners, "_listen", without_ipv6)
    with listening("127.0.0.1", "::1") as opened:
        assert [listener.family for listener in opened] == [socket.AF_INET]
    with pytest.raises(GadgetipError, match="Address family not supported"):
        open_listeners(["::1"], 0)
    with pytest.raises(GadgetipError, match="Address family not supported"):
        open_listeners(["127.0.0.1", "fd00::5"], 0)


def test_an_address_that_comes_later_is_listened_on_and_told() -> None:
    with listening("127.0.0.1", "0.0.0.0", "192.0.2.1") as opened:
        assert missing_addresses(opened) == (address_text(opened[2]),)
        assert address_text(opened[2]).startswith("192.0.2.1:")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_an_ipv6_address_that_comes_later() -> None:
    with listening("::1", "::", "2001:db8::1") as opened:
        assert missing_addresses(opened) == (address_text(opened[2]),)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("nowhere.invalid", "no address is known for --listen 'nowhere.invalid'"),
        ("a b", "is no host"),
    ],
)
def test_what_cannot_be_listened_on_is_said(host: str, sentence: str) -> None:
    with pytest.raises(GadgetipError, match=sentence):
        open_listeners([host], 0)


def test_a_port_that_is_taken() -> None:
    with listening("127.0.0.1") as (first,):
        port = first.getsockname()[1]
        with pytest.raises(GadgetipError, match=f"127.0.0.1:{port} is taken by another program"):
            open_listeners(["127.0.0.1"], port)


def test_a_host_with_its_own_port() -> None:
    with listening("127.0.0.1") as (first,):
        port = first.getsockname()[1]
    with listening(f"127.0.0.1:{port}", port=1) as (second,):
        assert second.getsockname()[1] == port


@pytest.mark.parametrize(
    ("address", "ip"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%lo", "fe80::1%lo")],
)
def test_the_address_that_a_policy_sees(address: str, ip: str) -> None:
    assert str(Peer(address, 1).ip) == ip


def test_a_full_machine_makes_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE comes at once, every time: without a pause the loop would spin."""
    asked = 0
    complaints: list[str] = []

    async def sock_accept(self: object, listener: socket.socket) -> tuple[socket.socket, object]:
        nonlocal asked
        asked += 1
        raise OSError(errno.EMFILE, "Too many open files")

    async def scenario() -> None:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_accept", sock_accept)
        with listening("127.0.0.1") as (listener,):
            task = asyncio.create_task(
                accept_forever(listener, lambda stream, peer: None, complaints.append)
            )
            await asyncio.sleep(FULL_PAUSE_S * 1.5)
            task.cancel()

    asyncio.run(scenario())
    assert asked == 2
    assert "Too many open files" in complaints[0]
