"""What /proc says, against this machine's own and against anything."""

import os
import resource
import socket
import struct
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.bench.kernel_texts import (
    MachineStat,
    ProcessStat,
    interface_to,
    parse_machine_stat,
    parse_process_stat,
    parse_resident,
)


def hexadecimal(address: str) -> str:
    """As /proc/net/route writes it."""
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}"


HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


def route(name: str, destination: str, mask: str, *, metric: int = 0, flags: int = 1) -> str:
    gateway = "00000000"
    return (
        f"{name}\t{hexadecimal(destination)}\t{gateway}\t{flags:04X}\t0\t0\t{metric}\t"
        f"{hexadecimal(mask)}\t0\t0\t0\n"
    )


ROUTES = HEADER + "".join(
    [
        route("wlan0", "0.0.0.0", "0.0.0.0", metric=600),
        route("eth0", "0.0.0.0", "0.0.0.0", metric=100),
        route("eth1", "192.168.1.0", "255.255.255.0"),
        route("down0", "192.168.1.7", "255.255.255.255", flags=0),
        "nonsense\n",
    ]
)


@pytest.mark.parametrize(
    ("address", "name"), [("192.168.1.7", "eth1"), ("192.168.2.7", "eth0"), ("8.8.8.8", "eth0")]
)
def test_the_longest_prefix_and_then_the_least_metric(address: str, name: str) -> None:
    assert interface_to(IPv4Address(address), ROUTES) == name


def test_no_way_there() -> None:
    assert interface_to(IPv4Address("8.8.8.8"), HEADER) is None


def test_this_process() -> None:
    stat = parse_process_stat(Path("/proc/self/stat").read_bytes())
    assert stat is not None
    assert stat.parent == os.getppid()
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert stat.user_ticks / os.sysconf("SC_CLK_TCK") == pytest.approx(used.ru_utime, abs=0.1)
    resident = parse_resident(Path("/proc/self/status").read_text())
    assert resident is not None
    assert 1 << 20 < resident < 1 << 40


def test_a_process_of_any_name() -> None:
    stat = b"12 (a) S 9 (b\n) S 3 " + b"0 " * 9 + b"5 7 0 0"
    assert parse_process_stat(stat) == ProcessStat(3, 5, 7)


def test_this_machine() -> None:
    stat = parse_machine_stat(Path("/proc/stat").read_text())
    assert stat is not None
    assert stat.processors >= 1
    assert stat.busy_ticks > 0


def test_waiting_for_a_disk_is_idle() -> None:
    text = "cpu  1 2 4 1000 2000 8 16 32 1 0\ncpu0 1 2\ncpu1 3 4\nintr 5\n"
    assert parse_machine_stat(text) == MachineStat(63, 2)


@given(st.text())
def test_any_text_does_no_harm(text: str) -> None:
    name = interface_to(IPv4Address("1.2.3.4"), HEADER + text)
    assert name is None or name in text
    parse_machine_stat(text)
    parse_resident(text)


@given(st.binary())
def test_any_bytes_do_no_harm(data: bytes) -> None:
    stat = parse_process_stat(data)
    assert stat is None or isinstance(stat.parent, int)
