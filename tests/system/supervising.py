"""A supervisor that runs: what it answers; and `gadgetip run` as a process, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from gadgetip.service.asking import Service, ask
from gadgetip.supervisor.address import SERVICE
from gadgetip.supervisor.wishes import FILE_NAME, STATE_DIRECTORY
from tests.system.attachment import GADGETIP, with_pump
from tests.system.waiting import wait_for

START_LIMIT_S = 90.0
STOP_LIMIT_S = 40.0
STATE_LIMIT_S = 90.0


class Answering:
    """Whoever runs a supervisor, and asks it through its control socket."""

    service: Service = SERVICE

    @property
    def log(self) -> str:
        """All that was printed."""
        raise NotImplementedError

    def ask(self, command: str, **fields: object) -> dict[str, Any]:
        """What a command of the command line asks, in this process: one takes seconds to start."""
        answer = ask(self.service, {"command": command, **fields}, STOP_LIMIT_S)
        assert answer is not None, self.log
        return answer

    def status(self, name: str) -> dict[str, Any]:
        """One attachment's."""
        [attachment] = self.ask("status", names=[name])["attachments"]
        assert isinstance(attachment, dict)
        return attachment

    def wait_for(
        self,
        name: str,
        state: str,
        condition: Callable[[dict[str, Any]], bool] = lambda _: True,
        limit_s: float = STATE_LIMIT_S,
    ) -> dict[str, Any]:
        """Wait until an attachment is in this state, and more."""
        seen: dict[str, Any] = {}

        def reached() -> dict[str, Any] | None:
            seen.update(self.status(name))
            return seen if seen["state"] == state and condition(seen) else None

        try:
            return wait_for(reached, f"{name} {state}", limit_s)
        except AssertionError as error:
            text = f"{error}, but {json.dumps(seen)}; it said:\n{self.log[-8000:]}"
            raise AssertionError(text) from None


class Supervising(Answering):
    """One `gadgetip run` with a configuration and hooks of its own; it may be killed and rerun."""

    def __init__(self, attachments: str = "") -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="supervisor-")
        self.config = Path(self._directory.name) / "gadgetip.toml"
        self.hooks = Path(self._directory.name) / "hooks.d"
        self.hooks.mkdir(mode=0o755)
        self.told = Path(self._directory.name) / "told"
        hook = self.hooks / "tell"
        hook.write_text(f'#!/bin/sh\necho "$GADGETIP_NAME $GADGETIP_STATE" >> {self.told}\n')
        hook.chmod(0o755)
        self.configure(attachments)
        self._log = (Path(self._directory.name) / "log").open("w+")

    def configure(self, attachments: str) -> None:
        """Write the configuration; who runs does not know yet."""
        self.config.write_text(
            f'schema = "config/1"\n[supervisor]\nretry_max_s = 4\nhooks = "{self.hooks}"\n'
            + with_pump(attachments)
        )

    def __enter__(self) -> "Supervising":
        (STATE_DIRECTORY / FILE_NAME).unlink(missing_ok=True)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        (STATE_DIRECTORY / FILE_NAME).unlink(missing_ok=True)
        self._log.close()
        self._directory.cleanup()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.process = subprocess.Popen(
            [*GADGETIP, "run", "--config", str(self.config)],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

        def answers() -> bool:
            assert self.process.poll() is None, self.log
            answer = ask(SERVICE, {"command": "status"}, STOP_LIMIT_S)
            return answer is not None and answer["supervisor"]["pid"] == self.process.pid

        wait_for(answers, "a supervisor that answers", START_LIMIT_S)

    @property
    def log(self) -> str:
        """All that was printed."""
        return Path(self._log.name).read_text()

    def states_told(self, name: str) -> list[str]:
        """The states that the hook was told."""
        if not self.told.exists():
            return []
        lines = [line.partition(" ") for line in self.told.read_text().splitlines()]
        return [state for told, _, state in lines if told == name]

    def kill(self) -> None:
        """kill -9 of the supervisor alone."""
        self.process.kill()
        self.process.wait(timeout=STOP_LIMIT_S)

    def stop(self) -> float:
        """SIGTERM; returns how many seconds it took to end."""
        began = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)
        status = self.process.wait(timeout=STOP_LIMIT_S)
        if status != 0:
            print(self.log, file=sys.stderr)
        assert status == 0
        return time.monotonic() - began


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
