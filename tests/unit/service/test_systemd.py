import os
import socket
from pathlib import Path

import pytest

from gadgetip.service.systemd import Notifier, activation_sockets


@pytest.fixture
def systemd(tmp_path: Path) -> socket.socket:
    """The socket that systemd reads."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(tmp_path / "notify"))
    receiver.settimeout(5)
    return receiver


def test_what_is_told(systemd: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "10000000"}
    notifier = Notifier(environment)
    assert environment == {}
    assert notifier.watchdog_s == 10
    notifier.ready("listening on\n127.0.0.1:3240")
    notifier.reloading()
    notifier.alive()
    notifier.status("2 devices")
    notifier.stopping()
    received = [systemd.recv(1000).decode() for _ in range(5)]
    assert received[0] == "READY=1\nSTATUS=listening on 127.0.0.1:3240"
    assert received[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert received[2:] == ["WATCHDOG=1", "STATUS=2 devices", "STOPPING=1"]


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0gadgetip-test-{os.getpid()}")
        receiver.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@gadgetip-test-{os.getpid()}"}).alive()
        assert receiver.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/nonexistent/notify"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)
    assert notifier.watchdog_s == 0
    notifier.ready("x")


def test_a_watchdog_that_nobody_reads_does_not_stop_the_service(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    for _ in range(5000):
        notifier.alive()


def test_the_sockets_that_systemd_passes() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket() as no_listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as no_tcp,
    ):
        first = _consecutive([listener, no_listener, no_tcp])
        environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "4", "LISTEN_FDNAMES": "a"}
        (passed,) = activation_sockets(environment, first)
        with passed:
            assert passed.getsockname() == listener.getsockname()
            assert not passed.getblocking()
            assert environment == {}
        for fd in (first + 1, first + 2):
            os.close(fd)


def _consecutive(streams: list[socket.socket]) -> int:
    """Copies of the sockets at numbers that follow each other."""
    first = 200
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), first + number)
    return first


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"},
    ],
)
def test_sockets_that_are_not_for_us(environment: dict[str, str]) -> None:
    assert activation_sockets(environment) == ()


def test_the_unit_waits_for_the_network_and_is_started_again() -> None:
    board = Path(__file__).parents[3] / "board" / "systemd"
    lines = (board / "gadgetip-serve.service").read_text().splitlines()
    assert "Wants=network-online.target" in lines
    assert any(line.startswith("After=network-online.target") for line in lines)
    # A missing prerequisite (6) may come; only a wrong command line stays wrong.
    assert "RestartPreventExitStatus=2" in lines
