"""`gadgetip serve` as a user runs it: a process, what it says, how it ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.system.waiting import wait_for

GADGETIP = [sys.executable, "-m", "gadgetip"]
# As board/systemd/gadgetip-serve.service runs it: root without any of root's powers.
SANDBOX = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
PORT = 3250
START_LIMIT_S = 90.0
STOP_LIMIT_S = 40.0


class Serve:
    """One `gadgetip serve --json`, from listening to its end; its events are kept with times."""

    def __init__(
        self, *options: str, policy: str = "", port: int = PORT, stub: str = "kernel"
    ) -> None:
        self.port = port
        self._directory = tempfile.TemporaryDirectory(prefix="serve-")
        self.policy = Path(self._directory.name) / "policy.toml"
        self.write_policy(policy)
        self._command = [
            *SANDBOX,
            *GADGETIP,
            *("--json", "serve", "--policy", str(self.policy)),
            *("--port", str(port), "--stub", stub, *options),
        ]
        self.events: list[tuple[float, dict[str, Any]]] = []

    def write_policy(self, exports: str) -> None:
        """The policy's file: generous limits, and these rules."""
        self.policy.write_text(
            'schema = "policy/1"\n[serve]\nmax_new_connections_per_s = 1000\n' + exports
        )

    def __enter__(self) -> "Serve":
        self.start()
        return self

    def start(self) -> None:
        """Start the process and wait until it listens."""
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as we do)
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.began = len(self.events)
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self.wait_for("listening", limit_s=START_LIMIT_S)

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()
        if kind is not None:
            print(f"serve said:\n{self.errors}\n{self.events}", file=sys.stderr)
        self._directory.cleanup()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """Everything that was printed on standard error since the last start."""
        self._log.seek(0)
        return self._log.read()

    def mark(self) -> int:
        """A place in the events, for `wait_for`."""
        return len(self.events)

    def wait_for(
        self, name: str, *, after: int | None = None, limit_s: float = 60.0, **fields: object
    ) -> tuple[float, dict[str, Any]]:
        """Wait for an event with these fields, and give it and when it was read."""
        begin = self.began if after is None else after

        def found() -> tuple[float, dict[str, Any]] | None:
            if self._process.poll() is not None and name != "stopped":
                raise AssertionError(f"serve ended: {self.errors}")
            for at, event in self.events[begin:]:
                if event["event"] == name and fields.items() <= event.items():
                    return at, event
            return None

        return wait_for(found, f"{name} {fields}, but {self.events[begin:]}", limit_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(timeout=STOP_LIMIT_S)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self._process.terminate()
        return self._process.wait(timeout=STOP_LIMIT_S)
