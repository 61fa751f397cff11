"""The relay's process: two real streams, a real process, and its ends."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.attachment.relay_process import RelayProcess
from gadgetip.pump.native_module import native_module, why_not
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    Direction,
    RetSubmit,
    ServerConnection,
)
from tests.unit.pump.stub import tcp_pair

pytestmark = pytest.mark.skipif(native_module() is None, reason=f"the native pump {why_not()}")

DEVID = 0x10002
LIMIT_S = 20.0
GET_STATUS = bytes.fromhex("8000000000000200")


class Relayed:
    """A relay between `server`, the far end of the stream, and `kernel`, which is vhci_hcd's."""

    def __init__(self) -> None:
        self.stream, self.server = tcp_pair()
        self.notices: list[str] = []
        self.relay = RelayProcess(self.stream, [], self.notices.append)
        self.kernel = self.relay.kernel_end
        self.server.settimeout(LIMIT_S)
        self.kernel.settimeout(LIMIT_S)

    def worker(self) -> int:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return int(children[-1])

    def is_over(self) -> bool:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if self.relay.is_over(0.1):
                return True
        return False


@pytest.fixture
def relayed() -> Iterator[Relayed]:
    it = Relayed()
    try:
        yield it
    finally:
        it.relay.close()
        it.stream.close()
        it.server.close()


def receive(stream: socket.socket, wire: ClientConnection | ServerConnection) -> object:
    while (event := wire.next_event()) is NEED_DATA:
        data = stream.recv(65536)
        assert data
        wire.receive_data(data)
    return event


def test_a_request_and_its_answer(relayed: Relayed) -> None:
    kernel, server = ClientConnection.after_import(DEVID), ServerConnection.after_import(DEVID)
    asked = CmdSubmit(
        77, DEVID, Direction.IN, 0, transfer_buffer_length=2, interval=3, setup=GET_STATUS
    )
    relayed.kernel.sendall(kernel.send(asked))
    seen = receive(relayed.server, server)
    assert isinstance(seen, CmdSubmit)
    assert seen._replace(seqnum=77) == asked
    relayed.server.sendall(server.send(RetSubmit(seen.seqnum, 0, 2, data=b"\1\0")))
    assert receive(relayed.kernel, kernel) == RetSubmit(77, 0, 2, data=b"\1\0")
    deadline = time.monotonic() + LIMIT_S
    while relayed.relay.traffic().urbs_in != 1 and time.monotonic() < deadline:
        assert not relayed.relay.is_over(0.1)
    traffic = relayed.relay.traffic()
    assert (traffic.bytes_in, traffic.urbs_in, traffic.errors) == (2, 1, 0)


def test_the_server_goes(relayed: Relayed) -> None:
    relayed.server.close()
    assert relayed.is_over()
    assert relayed.kernel.recv(1) == b""
    os.waitid(os.P_PID, relayed.worker(), os.WEXITED | os.WNOWAIT)
    assert relayed.relay.is_over(0)  # that it ended is no news
    assert relayed.relay.failure is None


def test_the_kernel_lets_go(relayed: Relayed) -> None:
    relayed.kernel.shutdown(socket.SHUT_RDWR)
    assert relayed.is_over()
    assert relayed.relay.failure is None
    assert relayed.server.recv(1) == b""


def test_it_dies(relayed: Relayed) -> None:
    os.kill(relayed.worker(), signal.SIGKILL)
    assert relayed.is_over()
    assert str(relayed.relay.failure) == "the worker died: killed by SIGKILL"
    assert relayed.kernel.recv(1) == b""


def test_a_server_that_talks_nonsense(relayed: Relayed) -> None:
    relayed.server.sendall(b"\xff" * 48)
    assert relayed.is_over()
    assert "broke the protocol" in str(relayed.relay.failure)
    assert relayed.kernel.recv(1) == b""


def test_it_ends_with_its_keeper(relayed: Relayed) -> None:
    worker = relayed.worker()
    relayed.relay.close()
    assert not Path(f"/proc/{worker}").exists()
