"""The outside of the agent: runs a command in the guest and streams what it prints."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

from tests.machine.errors import BenchError
from tests.machine.protocol import Decoder, Message, encode, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CONNECT_PAUSE = 0.05
GREETING_S = 5.0


class MachineGone(BenchError):
    """The machine ended, or does not answer."""


class OutOfTime(Exception):
    """The command still runs, past its limit."""


class Agent:
    """A connection to the agent, one command at a time."""

    def __init__(self, connection: socket.socket, lock: int) -> None:
        self._connection = connection
        self._lock = lock
        self._decoder = Decoder()
        self._waiting: list[Message] = []

    @classmethod
    def connect(cls, paths: Sequence[Path], limit: float, alive: Callable[[], bool]) -> Agent:
        """The first port that no other client uses, once the agent answers on it."""
        deadline = time.monotonic() + limit
        lock, path = _claim(paths)
        connection = socket.socket(socket.AF_UNIX)
        agent = cls(connection, lock)
        try:
            # QEMU makes its sockets a moment after it was started.
            while not _try_connect(connection, path):
                if not alive():
                    raise MachineGone("it ended during its start")
                if time.monotonic() > deadline:
                    raise MachineGone(f"nobody listens on {path}")
                time.sleep(CONNECT_PAUSE)
            agent._greet(deadline)
        except BaseException:
            agent.close()
            raise
        return agent

    def close(self) -> None:
        """Hang up; the agent kills what still runs for us."""
        # A thread that waits for a message keeps the connection open, and the port is taken for as
        # long, unless it is woken.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        os.close(self._lock)

    def execute(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: dict[str, str],
        output: Callable[[bytes], object],
        deadline: float | None = None,
    ) -> int:
        """Run a command to its end, hand on what it prints, return its status."""
        self.begin(argv, cwd=cwd, env=env)
        while True:
            message = self.receive(deadline)
            status = self.progress(message, output)
            if status is not None:
                return status

    def begin(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: dict[str, str],
        terminal: tuple[int, int] | None = None,
    ) -> None:
        """Start a command, with a terminal of that size if given."""
        request: Message = {"do": "exec", "argv": list(argv), "cwd": cwd, "env": env}
        if terminal is not None:
            request["terminal"] = terminal
        self.send(request)

    def progress(self, message: Message, output: Callable[[bytes], object]) -> int | None:
        """Take one message of a running command; its status if that was the last."""
        match message["is"]:
            case "output":
                output(unpack(message["data"]))
            case "exit":
                return int(message["status"])
            case "error":
                raise BenchError(message["text"])
        return None

    def blocked(self, limit: float, output: Callable[[bytes], object]) -> str | None:
        """Where the guest hangs, as its agent sees it; None if that does not answer either."""
        self.send({"do": "blocked"})
        deadline = time.monotonic() + limit
        try:
            while (message := self.receive(deadline))["is"] != "blocked":
                self.progress(message, output)
        except (OutOfTime, MachineGone):
            return None
        return str(message["text"])

    def abort(self, limit: float, output: Callable[[bytes], object]) -> None:
        """Have Python programs print where they are, which ends them; hand on what they print."""
        self.send({"do": "signal", "number": int(signal.SIGABRT)})
        deadline = time.monotonic() + limit
        with contextlib.suppress(OutOfTime, MachineGone):
            while self.progress(self.receive(deadline), output) is None:
                pass

    def type(self, data: bytes) -> None:
        """What a person typed on the command's terminal."""
        self.send({"do": "input", "data": pack(data)})

    def resize(self, rows: int, columns: int) -> None:
        """The person's terminal has another size."""
        self.send({"do": "resize", "rows": rows, "columns": columns})

    def fileno(self) -> int:
        """For `select`."""
        return self._connection.fileno()

    def send(self, message: Message) -> None:
        """One message to the agent."""
        try:
            self._connection.sendall(encode(message))
        except OSError as error:
            raise MachineGone(f"the machine ended: {error}") from error

    def receive(self, deadline: float | None = None) -> Message:
        """The next message."""
        while not self._waiting:
            limit = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._connection], [], [], limit)[0]:
                raise OutOfTime
            self._waiting = self.read()
        return self._waiting.pop(0)

    def read(self) -> list[Message]:
        """The messages that have come; waits for some bytes, which may be none's end."""
        try:
            data = self._connection.recv(1 << 16)
        except OSError as error:
            raise MachineGone(f"the machine ended: {error}") from error
        if not data:
            raise MachineGone("the machine ended")
        return self._decoder.feed(data)

    def _greet(self, deadline: float) -> None:
        nonce = secrets.token_hex(8)
        self._connection.sendall(b"\n")
        while True:
            # Said again, should the answer be lost; a second one is passed over (`progress`).
            self.send({"do": "hello", "nonce": nonce})
            limit = min(deadline, time.monotonic() + GREETING_S)
            try:
                while self.receive(limit) != {"is": "hello", "nonce": nonce}:
                    pass  # left over from an earlier client
            except OutOfTime:
                if limit == deadline:
                    raise MachineGone("the agent inside does not answer") from None
            else:
                return


def _claim(paths: Sequence[Path]) -> tuple[int, Path]:
    for path in paths:
        try:
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise MachineGone("the machine ended") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return lock, path
    raise BenchError(f"all {len(paths)} ports of the machine are in use")


def _try_connect(connection: socket.socket, path: Path) -> bool:
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True
