"""`make bench-lasting`: as much as an hour allows, through one attachment.

Data is written to the disk, read back and compared, without a pause, at no distance. A line a
minute says what moved and what the worker's memory is; memory that grows and a speed that drifts
show there. Ends with the growth of the resident memory from the second minute to the last, in KiB,
and the ratio of the speeds of the last quarter to that of the first.
"""

import argparse
import json
import mmap
import os
import statistics
import sys
import time
from pathlib import Path

from tests.performance.processor import resident_kib
from tests.system import host, modules
from tests.system.attachment import Attachment, wait_until_exported
from tests.system.server import StockServer
from tests.system.stick import Stick

UDC = "dummy_udc.1"
REQUEST_BYTES = 1 << 20
SPAN_BYTES = 48 << 20
MINUTE_S = 60.0


def carry(disk: int, deadline: float) -> int:
    """Write and read back until the deadline; returns the bytes that moved."""
    data, back = mmap.mmap(-1, REQUEST_BYTES), mmap.mmap(-1, REQUEST_BYTES)
    moved = 0
    while time.monotonic() < deadline:
        data.seek(0)
        data.write(os.urandom(REQUEST_BYTES))
        at = moved // 2 % SPAN_BYTES
        assert os.pwritev(disk, [data], at) == REQUEST_BYTES
        assert os.preadv(disk, [back], at) == REQUEST_BYTES
        assert data[:] == back[:], f"what was written at {at} is not what is read"
        moved += 2 * REQUEST_BYTES
    return moved


def main() -> None:
    """Carry, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance.lasting")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--pump", default="native")
    chosen = parser.parse_args()
    modules.load()
    minutes: list[dict[str, float]] = []
    with StockServer() as server, Stick("dummy_udc.0") as stick, server.exporting(stick.busid):
        wait_until_exported(stick.busid)
        options = ("--pump", chosen.pump)
        with Attachment("127.0.0.1", stick.busid, udc=UDC, options=options) as attachment:
            disk = os.open(host.wait_for_disk(UDC), os.O_RDWR | os.O_DIRECT)
            end = time.monotonic() + chosen.seconds
            while (began := time.monotonic()) < end:
                moved = carry(disk, min(end, began + MINUTE_S))
                rate = moved / (time.monotonic() - began) / 1e6
                resident = resident_kib(attachment.worker())
                minutes.append({"mb": moved / 1e6, "mb_per_s": rate, "resident_kib": resident})
                print(f"{moved / 1e6:.0f} MB, {rate:.2f} MB/s, {resident} KiB", file=sys.stderr)
            os.close(disk)
    rates = [minute["mb_per_s"] for minute in minutes]
    resident_then = [minute["resident_kib"] for minute in minutes]
    quarter = max(1, len(rates) // 4)
    result = {
        "minutes": minutes,
        "moved_mb": sum(minute["mb"] for minute in minutes),
        "grown_kib": resident_then[-1] - resident_then[min(1, len(minutes) - 1)],
        "drift": statistics.median(rates[-quarter:]) / statistics.median(rates[:quarter]),
    }
    (Path(os.environ["GADGETIP_RESULTS"]) / "lasting.json").write_text(json.dumps(result, indent=2))
    print(json.dumps({name: value for name, value in result.items() if name != "minutes"}))


if __name__ == "__main__":
    main()
