"""One `gadgetip attach --keep` for each attachment, started again when it dies."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.soak.kept import RUNNING, Kept, Shown
from tests.soak.reports import Report
from tests.system.attachment import GADGETIP, PUMP_OPTIONS, STOP_LIMIT_S

RESTART_S = 0.5


class _Alone:
    """One attachment: the process, started again and again, and what it said."""

    def __init__(self, name: str, server: str, device: str, udc: str, hold_s: float) -> None:
        self.name = name
        options = ("--udc", udc, "--wait", "--keep", "--hold", f"{hold_s:g}")
        self._command = [*GADGETIP, "--json", "attach", server, device, *PUMP_OPTIONS, *options]
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.state, self.since, self.reason = "starting", time.time(), ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep {name}", daemon=True)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
        self._thread.join(STOP_LIMIT_S)
        assert not self._thread.is_alive(), f"{self.name} does not stop"

    def worker(self) -> int | None:
        if self.process is None:
            return None
        try:
            path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            children = path.read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            assert self.process.stdout is not None
            for line in self.process.stdout:
                self._heard(line)
            status = self.process.wait()
            self._becomes("dead", f"exit status {status}")
            self.events.append((time.time(), {"event": "dead", "text": f"exit status {status}"}))
            self._stopping.wait(RESTART_S)

    def _heard(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "said", "text": line.strip()}
        self.events.append((time.time(), event))
        if event["event"] == "bound":
            self._becomes(RUNNING, "")
        elif event["event"] in {"lost", "waiting"}:
            self._becomes(event["event"], str(event.get("text", event.get("reason"))))

    def _becomes(self, state: str, reason: str) -> None:
        self.state, self.since, self.reason = state, time.time(), reason


class KeptAlone(Kept):
    """Each on its own."""

    def __init__(
        self,
        server: str,
        devices: Mapping[str, str],
        cables: Mapping[str, str],
        hold_s: Mapping[str, float],
    ) -> None:
        self._each = {
            name: _Alone(name, server, device, cables[name], hold_s.get(name, 0))
            for name, device in devices.items()
        }

    def start(self) -> None:
        for each in self._each.values():
            each.start()

    def stop(self) -> None:
        for each in self._each.values():
            each.stop()

    def shown(self) -> dict[str, Shown]:
        return {
            name: Shown(
                name,
                each.state,
                each.since,
                each.reason,
                each.process.pid if each.process else None,
                each.worker(),
            )
            for name, each in self._each.items()
        }

    def reports(self, name: str) -> list[Report]:
        return [
            Report(at, str(event.get("text", event)))
            for at, event in list(self._each[name].events)
            if event["event"] in {"lost", "dead", "notice"}
        ]

    def supervisors(self) -> list[int]:
        return []

    def log(self) -> str:
        lines = [
            f"{at:.2f} {name} {event}"
            for name, each in self._each.items()
            for at, event in list(each.events)
        ]
        return "\n".join(sorted(lines))
