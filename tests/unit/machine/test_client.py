"""The bench's side of the connection to the machine."""

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

from tests.machine.client import Agent, MachineGone

LIMIT_S = 10.0


def wait_for_a_message(agent: Agent) -> None:
    with contextlib.suppress(MachineGone, OSError, ValueError):
        agent.receive()


def sleeps(thread: threading.Thread) -> bool:
    """proc_pid_stat(5): the state comes after the name, which is in brackets."""
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def test_hanging_up_is_seen_though_a_thread_waits_for_a_message() -> None:
    """It was not: the port stayed taken until the next message, and nobody else got an answer."""
    ours, theirs = socket.socketpair()
    agent = Agent(ours, os.open(os.devnull, os.O_RDONLY))
    thread = threading.Thread(target=wait_for_a_message, args=(agent,), daemon=True)
    thread.start()
    limit = time.monotonic() + LIMIT_S
    while not sleeps(thread):
        assert time.monotonic() < limit
        time.sleep(0.01)
    agent.close()
    theirs.settimeout(LIMIT_S)
    assert theirs.recv(1) == b""
    thread.join(LIMIT_S)
    assert not thread.is_alive()
