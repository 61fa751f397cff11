"""What the kernel says of the network."""

import os
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.supervisor.network_news import (
    IFF_RUNNING,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    Links,
    NetworkNews,
)


def message(kind: int, body: bytes = b"") -> bytes:
    data = struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body
    return data + bytes(-len(data) % 4)


def link(kind: int, index: int, flags: int) -> bytes:
    return message(kind, struct.pack("=BBHiII", 0, 0, 1, index, flags, 0))


@pytest.mark.parametrize("kind", [RTM_NEWADDR, RTM_NEWROUTE])
def test_an_address_and_a_route_are_news(kind: int) -> None:
    assert Links().is_news(message(kind, b"xyz"))
    assert Links().is_news(message(99) + message(kind))
    assert not Links().is_news(message(kind + 1))


def test_a_carrier_is_news_once() -> None:
    links = Links()
    assert links.is_news(link(RTM_NEWLINK, 2, IFF_RUNNING))
    assert not links.is_news(link(RTM_NEWLINK, 2, IFF_RUNNING)), "a wireless scan"
    assert links.is_news(link(RTM_NEWLINK, 3, IFF_RUNNING))
    assert not links.is_news(link(RTM_NEWLINK, 2, 0))
    assert links.is_news(link(RTM_NEWLINK, 2, IFF_RUNNING))
    assert not links.is_news(link(RTM_DELLINK, 2, IFF_RUNNING))
    assert links.is_news(link(RTM_NEWLINK, 2, IFF_RUNNING))


@given(st.binary(max_size=80))
def test_whatever_comes(data: bytes) -> None:
    assert Links().is_news(data) in {True, False}


@given(st.lists(st.integers(0, 200), max_size=5), st.integers(0, 15))
def test_what_is_cut_short(kinds: list[int], cut: int) -> None:
    """Of several messages, all that are whole count."""
    data = b"".join(message(kind) for kind in kinds)
    whole = kinds if not cut else kinds[:-1]
    expected = any(kind in {RTM_NEWADDR, RTM_NEWROUTE} for kind in whole)
    assert Links().is_news(data[: len(data) - cut] if cut and kinds else data) == expected


def test_the_kernel_speaks() -> None:
    try:
        news = NetworkNews()
    except OSError as error:
        pytest.skip(f"no netlink here: {error}")
    try:
        assert not news.receive()
        add = ["ip", "address", "add", "127.0.0.77/32", "dev", "lo"]
        if os.geteuid() != 0 or subprocess.run(add, check=False, capture_output=True).returncode:
            pytest.skip("an address cannot be added here")
        subprocess.run([*add[:2], "del", *add[3:]], check=True)
        assert news.receive()
    finally:
        news.close()
