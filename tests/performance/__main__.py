"""`make bench`: a replica against the kernel's own USB/IP client, in one boot, interleaved.

The same stick, exported by the same server, is attached in turn through stock `usbip attach` (vhci)
and through a replica, at each round trip. Each figure is the median over the rounds, with its
spread; what counts is the ratio within one run. The replica has one emulated cable more to cross
than vhci has, so at no distance it cannot win.

Results go to standard output and, as JSON and Markdown, to the directory of results.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.performance.works import WORKS, cell, ratio
from tests.system import host, modules
from tests.system.attachment import Attachment, wait_until_exported
from tests.system.server import StockServer
from tests.system.stick import Stick

UDC = "dummy_udc.1"
VHCI = "usbip-vudc.0"
VHCI_DETACH = Path("/sys/devices/platform/vhci_hcd.0/detach")
ROUND_TRIPS_MS = (0, 10)
ROUNDS = int(os.environ.get("GADGETIP_ROUNDS", "3"))


@contextmanager
def distance(round_trip_ms: int) -> Iterator[None]:
    """Delay every packet on the loopback interface by half the round trip."""
    if not round_trip_ms:
        yield
        return
    delay = ["netem", "delay", f"{round_trip_ms / 2}ms", "limit", "20000"]
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", *delay], check=True)
    try:
        yield
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)


@contextmanager
def through_vhci(stick: Stick) -> Iterator[Path]:
    """Stock `usbip attach`."""
    wait_until_exported(stick.busid)
    subprocess.run(["usbip", "attach", "-r", "127.0.0.1", "-b", stick.busid], check=True)
    try:
        yield host.wait_for_disk(VHCI)
    finally:
        listed = subprocess.run(["usbip", "port"], check=True, capture_output=True, text=True)
        port = re.search(r"Port (\d+): <Port in Use>", listed.stdout)
        assert port is not None, listed.stdout
        VHCI_DETACH.write_text(str(int(port[1])))
        host.wait_for_unplug(VHCI)


@contextmanager
def through_replica(stick: Stick) -> Iterator[Path]:
    """`gadgetip attach`."""
    wait_until_exported(stick.busid)
    with Attachment("127.0.0.1", stick.busid, udc=UDC):
        yield host.wait_for_disk(UDC)


PATHS = {"vhci": through_vhci, "gadgetip": through_replica}


def measure(stick: Stick) -> dict[str, dict[str, dict[str, list[float]]]]:
    """All figures: by round trip, by work, by path, a value a round."""
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    for round_number in range(ROUNDS):
        for round_trip in ROUND_TRIPS_MS:
            rows = figures.setdefault(str(round_trip), {})
            for name, path in PATHS.items():
                with distance(round_trip), path(stick) as disk:
                    time.sleep(1.0)  # the host's own first reads of a new disk are not measured
                    for work, (unit, run) in WORKS.items():
                        value = run(disk)
                        rows.setdefault(work, {}).setdefault(name, []).append(value)
                        print(
                            f"round {round_number + 1}, {round_trip} ms, {name}: "
                            f"{work} {value:.2f} {unit}",
                            file=sys.stderr,
                            flush=True,
                        )
    return figures


def table(figures: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """The figures as a Markdown table: medians, spread, and the ratio."""
    lines = [
        "| round trip | work | vhci | gadgetip | ratio |",
        "|---|---|---|---|---|",
    ]
    for round_trip, rows in figures.items():
        for work, paths in rows.items():
            unit = WORKS[work][0]
            cells = [cell(paths[name], unit) for name in ("vhci", "gadgetip")]
            won = ratio(paths["gadgetip"], paths["vhci"])
            lines.append(f"| {round_trip} ms | {work} | {cells[0]} | {cells[1]} | {won} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, keep."""
    modules.load()
    with StockServer() as server, Stick("dummy_udc.0") as stick, server.exporting(stick.busid):
        stick.fill()
        figures = measure(stick)
    shown = table(figures)
    print(f"\n{os.uname().release}, medians of {ROUNDS} interleaved rounds (spread)\n\n{shown}")
    results = Path(os.environ["GADGETIP_RESULTS"])
    (results / "performance.json").write_text(json.dumps(figures, indent=2))
    (results / "performance.md").write_text(shown + "\n")


if __name__ == "__main__":
    main()
