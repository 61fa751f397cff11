"""Numbered reports from a keyboard's own end to the host, and how long each takes."""

import os
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPORT = struct.Struct("<BBIH")  # modifiers, reserved, four usages as a number, two more
REPORT_LIMIT_S = 30.0


@dataclass(frozen=True)
class Pressed:
    """Seconds from device to host of each report, and of all of them together."""

    delays_s: list[float]
    seconds: float


def press(
    keyboard: Path, raw: Path, under_way: int, enough: Callable[[int, float], bool]
) -> Pressed:
    """Send numbered reports as fast as they go, so many under way at a time.

    `keyboard` is the device's /dev/hidgN, `raw` the host's hidraw, which forgets beyond 64 reports.
    `enough` is asked with the number of reports sent and the seconds since the first. Raises
    AssertionError for a report that is lost or out of order.
    """
    sent: list[float] = []
    delays: list[float] = []
    room = threading.Semaphore(under_way)
    last = threading.Event()
    device = os.open(keyboard, os.O_RDWR)
    seen = os.open(raw, os.O_RDWR)
    began = time.monotonic()

    def send() -> None:
        while not enough(len(sent), time.monotonic() - began):
            room.acquire()
            sent.append(time.monotonic())
            os.write(device, REPORT.pack(0, 0, len(sent) - 1, 0))
        last.set()

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    try:
        while not last.is_set() or len(delays) < len(sent):
            ready = select.select([seen], [], [], REPORT_LIMIT_S)[0]
            assert ready, f"report {len(delays)} of {len(sent)} does not come"
            report = os.read(seen, REPORT.size)
            delays.append(time.monotonic() - sent[len(delays)])
            room.release()
            number = REPORT.unpack(report)[2]
            assert number == len(delays) - 1, f"report {len(delays) - 1}: {report.hex()}"
        return Pressed(delays, time.monotonic() - began)
    finally:
        os.close(seen)
        os.close(device)
