"""Talks to QEMU itself (QMP), which answers also when its guest does not."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from tests.machine.errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path


class Monitor:
    """One conversation with QEMU; a context manager. QEMU takes one at a time."""

    def __init__(self, path: Path, limit: float = 5.0) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(limit)
        try:
            self._connection.connect(str(path))
            self._lines = self._connection.makefile("r")
            self._lines.readline()  # the greeting
            self.execute("qmp_capabilities")
        except OSError as error:
            self._connection.close()
            raise BenchError(f"QEMU's monitor does not answer: {error}") from error

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def execute(self, command: str, **arguments: object) -> Any:
        """One QMP command; what it returns."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            while line := self._lines.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise BenchError(f"QEMU refuses {command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as error:
            raise BenchError(f"QEMU does not answer to {command}: {error}") from error
        raise BenchError(f"QEMU ended during {command}")

    def human(self, line: str) -> str:
        """A line of QEMU's monitor for people, for what QMP has no command for."""
        return str(self.execute("human-monitor-command", **{"command-line": line}))
