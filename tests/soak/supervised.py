"""`gadgetip run` as systemd runs it: started from a configuration, and again when it dies.

Its standard output is the journal: what it says of an attachment is kept with times beyond its own
life. Its state is asked over its control socket, as `gadgetip status` does.
"""

import json
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from gadgetip.errors import GadgetipError
from gadgetip.service.asking import ask
from gadgetip.supervisor.address import SERVICE
from tests.soak.kept import Kept, Shown
from tests.soak.reports import Report
from tests.system.attachment import GADGETIP, with_pump

RESTART_S = 0.5
STOP_LIMIT_S = 60.0
ASK_LIMIT_S = 20.0
HOLDS_S = (0.0, 2.0, 30.0)
LOSS = re.compile(r"^(lost|held|backing off|waiting for|parked|stopped)\b|\bbytes\b")
BYTES = re.compile(r"(\d+) bytes")


def configuration(
    server: str,
    devices: Mapping[str, str],
    cables: Mapping[str, str],
    hold_s: Mapping[str, float],
) -> str:
    """The text of a config/1 with an attachment for each device; those with `hold_s` hold."""
    lines = ['schema = "config/1"']
    for name, identity in devices.items():
        lines += [
            "[[attachment]]",
            f'name = "{name}"',
            f'server = "{server}"',
            f'match = {{ id = "{identity}" }}',
            f'udc = "{cables[name]}"',
        ]
        if seconds := hold_s.get(name, 0):
            lines += ['on_loss = "hold"', f"hold_s = {seconds:g}"]
        else:
            lines += ['on_loss = "unplug"']
    return with_pump("\n".join(lines) + "\n")


def report_of(at: float, text: str) -> Report | None:
    """What a line of an attachment's log reports as lost, if it does."""
    if not LOSS.search(text):
        return None
    counts = [int(count) for count in BYTES.findall(text)]
    return Report(at, text, sum(counts) if counts else None)


def drawn_holds(names: Iterable[str], seed: int) -> dict[str, float]:
    """Which attachments hold a lost link, and for how many seconds: the seed's choice."""
    rng = random.Random(f"hold {seed}")
    return {name: rng.choice(HOLDS_S) for name in names}


class Supervised(Kept):
    """All of them under one supervisor; `hold_s` by name."""

    def __init__(
        self,
        server: str,
        devices: Mapping[str, str],
        cables: Mapping[str, str],
        hold_s: Mapping[str, float],
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="soak-")
        file = Path(self._directory.name) / "gadgetip.toml"
        file.write_text(configuration(server, devices, cables, hold_s))
        self._names = list(devices)
        self._command = [*GADGETIP, "--json", "-v", "--config", str(file), "run"]
        self._lines: list[tuple[float, str, str]] = []
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._status: int | None = None
        self._thread = threading.Thread(target=self._keep, name="as systemd", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._thread.join(STOP_LIMIT_S)
        assert not self._thread.is_alive(), "the supervisor does not stop"
        assert self._status == 0, f"the supervisor ended with {self._status}"
        self._directory.cleanup()

    def shown(self) -> dict[str, Shown]:
        try:
            answer = ask(SERVICE, {"command": "status", "names": []}, ASK_LIMIT_S)
        except GadgetipError as error:  # it was killed while it was asked
            self._note("", f"no answer: {error}")
            return {}
        return {
            each["name"]: Shown(
                each["name"],
                each["state"],
                each["since"],
                each["reason"] or "",
                each["pid"],
                each["worker_pid"],
            )
            for each in (answer or {"attachments": []})["attachments"]
        }

    def reports(self, name: str) -> list[Report]:
        told = [report_of(at, text) for at, about, text in list(self._lines) if about == name]
        return [report for report in told if report is not None]

    def supervisors(self) -> list[int]:
        process = self._process
        return [process.pid] if process is not None and process.poll() is None else []

    def log(self) -> str:
        return "\n".join(f"{at:.2f} {name or '-'}: {text}" for at, name, text in self._lines)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            with tempfile.TemporaryFile("w+") as errors:
                self._process = subprocess.Popen(
                    self._command, stdout=subprocess.PIPE, stderr=errors, text=True
                )
                assert self._process.stdout is not None
                for line in self._process.stdout:
                    self._heard(line)
                self._status = self._process.wait()
                errors.seek(0)
                said = [line for line in errors.read().splitlines() if "Traceback" in line]
            for name in self._names:
                self._note(name, f"stopped with its supervisor: status {self._status} {said}")
            self._stopping.wait(RESTART_S)

    def _heard(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"text": line.strip()}
        self._note(event.get("attachment") or "", event.get("text") or line.strip())

    def _note(self, name: str, text: str) -> None:
        self._lines.append((time.time(), name, text))
