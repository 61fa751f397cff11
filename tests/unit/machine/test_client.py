"""The bench's side of the connection to the machine."""

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.machine import client
from tests.machine.client import Agent, MachineGone
from tests.machine.protocol import Decoder, Message, encode

LIMIT_S = 10.0


class Inside:
    """The other end, which misses the first greeting."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._decoder = connection, Decoder()
        self.heard: list[Message] = []

    def answer_the_second(self) -> None:
        while len(self.heard) < 2:
            self.heard += self._decoder.feed(self._connection.recv(1 << 16))
        for _ in range(2):
            self._connection.sendall(encode({"is": "hello", "nonce": self.heard[-1]["nonce"]}))
        self._connection.sendall(encode({"is": "exit", "status": 3}))


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


def test_a_greeting_that_is_not_answered_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer to it disturbs nobody."""
    monkeypatch.setattr(client, "GREETING_S", 0.05)
    ours, theirs = socket.socketpair()
    inside = Inside(theirs)
    thread = threading.Thread(target=inside.answer_the_second, daemon=True)
    thread.start()
    agent = Agent(ours, os.open(os.devnull, os.O_RDONLY))
    agent._greet(time.monotonic() + LIMIT_S)
    assert agent.execute(["true"], cwd="/", env={}, output=bytes) == 3
    agent.close()
    thread.join(LIMIT_S)
    assert [each["do"] for each in inside.heard[:2]] == ["hello", "hello"]


def test_nobody_answers() -> None:
    ours, _theirs = socket.socketpair()
    agent = Agent(ours, os.open(os.devnull, os.O_RDONLY))
    with pytest.raises(MachineGone):
        agent._greet(time.monotonic() + 0.1)
    agent.close()
