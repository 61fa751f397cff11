"""`make bench-supervisor`: how long it takes until a device is there, and there again.

A supervisor is started at a server that exports a stick, at several round trips; then the
connection is killed while the server is away, and the server comes back. Told are the milliseconds
of each step and, from how the times grow with the distance, the round trips that it takes. The
steps are the supervisor's own lines, taken when they are printed.
"""

import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.performance.distance import distance
from tests.system import host, modules
from tests.system.attachment import GADGETIP, wait_until_exported
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.test_endings import destroy_client_socket

UDC = "dummy_udc.1"
ROUND_TRIPS_MS = (0, 50, 200)
ROUNDS = int(os.environ.get("GADGETIP_ROUNDS", "2"))
LIMIT_S = 120.0
CONFIGURATION = f"""schema = "config/1"
[[attachment]]
name = "stick"
server = "127.0.0.1"
match = {{ id = "0781:5581" }}
udc = "{UDC}"
on_loss = "hold"
hold_s = 60
"""
STEPS = ("importing", "planning", "bound", "running", "enumerated", "back to running")


class Lines:
    """What a supervisor prints, each line with the time at which it came."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._lines: queue.Queue[tuple[float, str]] = queue.Queue()
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, line: str) -> float:
        """When this line came; those before it are dropped."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            at, text = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            if text == line or text.startswith(f"{line}: "):  # a reason may follow
                return at

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            self._lines.put((time.monotonic(), text.rstrip("\n")))


@contextmanager
def supervisor() -> Iterator[tuple[float, Lines]]:
    """One `gadgetip run`; yields when it was started, and its lines."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(CONFIGURATION)
        file.flush()
        began = time.monotonic()
        process = subprocess.Popen(
            [*GADGETIP, "run", "--config", file.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield began, Lines(process)
        finally:
            process.terminate()
            process.wait(60)


def measure(server: StockServer, stick: Stick, round_trip_ms: int) -> dict[str, float]:
    """Milliseconds of each step, from the one before; the last from the return of the server."""
    wait_until_exported(stick.busid)
    with distance(round_trip_ms), supervisor() as (began, lines):
        at = [began, *(lines.wait_for(f"stick: {step}") for step in STEPS[:4])]
        host.wait_for_device(UDC)
        at.append(time.monotonic())
        times = {step: at[n + 1] - at[n] for n, step in enumerate(STEPS[:5])}
        host.wait_for_disk(UDC)
        server.stop()
        destroy_client_socket()
        lines.wait_for("stick: held")
        server.__enter__()
        there = time.monotonic()
        times["back to running"] = lines.wait_for("stick: running") - there
    host.wait_for_unplug(UDC)
    return {step: seconds * 1000 for step, seconds in times.items()}


def round_trips(medians: dict[int, float]) -> float:
    """By how many milliseconds a time grows with each millisecond of round trip (least squares)."""
    distances = list(medians)
    slope, _ = statistics.linear_regression(distances, [medians[each] for each in distances])
    return slope


def table(results: dict[int, list[dict[str, float]]]) -> str:
    """Markdown: a row for each step."""
    heads = " | ".join(f"at {each} ms" for each in results)
    lines = [
        f"| from the line before to | {heads} | round trips |",
        "| --- |" + " --- |" * (len(results) + 1),
    ]
    for step in STEPS:
        medians = {at: statistics.median(run[step] for run in runs) for at, runs in results.items()}
        cells = " | ".join(f"{median:.0f} ms" for median in medians.values())
        lines.append(f"| {step} | {cells} | {round_trips(medians):.0f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, interleaved; print and write down."""
    modules.load()
    results: dict[int, list[dict[str, float]]] = {each: [] for each in ROUND_TRIPS_MS}
    with (
        StockServer() as server,
        Stick("dummy_udc.0") as stick,
        server.exporting(stick.busid),
    ):
        for _ in range(ROUNDS):
            for round_trip_ms in ROUND_TRIPS_MS:
                results[round_trip_ms].append(measure(server, stick, round_trip_ms))
                print(round_trip_ms, results[round_trip_ms][-1], flush=True)
    text = table(results)
    print(text)
    directory = Path(os.environ.get("GADGETIP_RESULTS", "build"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "supervisor.md").write_text(text + "\n")
    (directory / "supervisor.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
