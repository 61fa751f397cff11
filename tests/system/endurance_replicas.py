"""`make cycles`: hundreds of attachments and resets, ten thousand key presses.

What must not grow does not grow: open files, threads, memory, gadgets, mounts. No report is lost or
overtakes another; how much later it comes than through stock vhci is printed, for the same keyboard
in the same boot. Called with pytest, by its path.
"""

import json
import os
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system import drivers, host, reborn, usbfs
from tests.system.attachment import RUN, Attachment, leftovers, wait_until_exported
from tests.system.devices import Gadget, catalogue
from tests.system.key_reports import press
from tests.system.reborn import REPLICA_UDC
from tests.system.server import StockServer

CYCLES = int(os.environ.get("GADGETIP_CYCLES", "200"))
RESETS = int(os.environ.get("GADGETIP_RESETS", "100"))
REPORTS = int(os.environ.get("GADGETIP_REPORTS", "10000"))
SETTLED = 20
GROWTH = 1.05
UNDER_WAY = 16
"""Reports between device and host at a time; a hidraw file forgets beyond 64."""

BULK_IN = 0x81


def rss_kib(process: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def footprint(process: int) -> tuple[int, int]:
    """Open files and threads of a process."""
    return len(list(Path(f"/proc/{process}/fd").iterdir())), len(
        list(Path(f"/proc/{process}/task").iterdir())
    )


def mounted() -> int:
    """How many mounts there are."""
    return len(Path("/proc/mounts").read_text().splitlines())


def test_many_attachments(server: StockServer) -> None:
    with Gadget(catalogue.gadget_zero(), "dummy_udc.0") as gadget, server.exporting(gadget.busid):
        memory: dict[str, list[int]] = {"functionfs": [], "gadgetfs": []}
        mounts = -1
        for cycle in range(CYCLES):
            backend = ("functionfs", "gadgetfs")[cycle % 2]
            wait_until_exported(gadget.busid)
            with Attachment(
                "127.0.0.1", gadget.busid, udc=REPLICA_UDC, options=("--backend", backend)
            ) as attached:
                host.wait_for_device(REPLICA_UDC)
                memory[backend].append(rss_kib(attached.pid) + rss_kib(attached.worker()))
            assert leftovers(REPLICA_UDC) == []
            assert not (RUN / "gadgetfs").exists()
            if cycle == min(SETTLED, CYCLES - 1):
                mounts = mounted()
        assert mounted() == mounts
        for backend, each in memory.items():
            settled = each[min(SETTLED // 2, len(each) - 1)]
            print(f"{backend}: {len(each)} attachments, {settled} KiB, the last {each[-1]} KiB")
            assert each[-1] <= settled * GROWTH


@pytest.mark.parametrize("backend", ["functionfs", "gadgetfs"])
def test_many_resets_under_traffic(server: StockServer, backend: str) -> None:
    options = ("--backend", backend)
    with Gadget(catalogue.gadget_zero(), "dummy_udc.0") as gadget, server.exporting(gadget.busid):
        wait_until_exported(gadget.busid)
        with Attachment("127.0.0.1", gadget.busid, udc=REPLICA_UDC, options=options) as attached:
            worker = attached.worker()
            figures = []
            for _ in range(RESETS):
                replica = host.wait_for_device(REPLICA_UDC)
                with usbfs.Driver(replica, 0) as driver:
                    reading = threading.Thread(target=read_until_it_fails, args=(driver,))
                    reading.start()
                    time.sleep(0.1)
                    usbfs.reset(replica)
                    reading.join(timeout=30)
                    assert not reading.is_alive()
                figures.append((*footprint(worker), rss_kib(worker)))
            with usbfs.Driver(host.wait_for_device(REPLICA_UDC), 0) as driver:
                assert driver.read(BULK_IN, 512) == bytes(512)
            settled, last = figures[min(SETTLED, RESETS - 1)], figures[-1]
            print(f"{backend}: files, threads, KiB after {SETTLED} resets {settled}, last {last}")
            assert last[:2] <= settled[:2]
            assert last[2] <= settled[2] * GROWTH


def read_until_it_fails(driver: usbfs.Driver) -> None:
    """Traffic; a reset ends it."""
    try:
        for _ in range(200):
            driver.read(BULK_IN, 4096)
    except (usbfs.TransferError, OSError):
        return


def test_ten_thousand_reports(server: StockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: dict[str, Any] = {}
    description = catalogue.keyboard_and_mouse()
    with Gadget(description, "dummy_udc.0") as gadget:
        keyboard = gadget.node(description.functions[0])
        for path in ("replica", "vhci"):
            monkeypatch.setattr(reborn, "PATH", path)
            with reborn.reborn(server, gadget.busid, compare=False) as both:
                raw = drivers.hidraw(both.replica, 0)
                pressed = press(keyboard, raw, UNDER_WAY, lambda sent, _: sent == REPORTS)
            milliseconds = [1000 * each for each in pressed.delays_s]
            cuts = statistics.quantiles(milliseconds, n=100)
            figures[path] = {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}
            figures[path]["per_s"] = round(REPORTS / pressed.seconds)
    print(json.dumps(figures))
    results = Path(os.environ.get("GADGETIP_RESULTS", "/tmp"))
    (results / "reports.json").write_text(json.dumps(figures, indent=2))
