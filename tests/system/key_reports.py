"""Numbered reports from a keyboard's own end to the host, and how long each takes."""

import contextlib
import os
import select
import struct
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
    device = os.open(keyboard, os.O_RDWR | os.O_NONBLOCK)
    seen = os.open(raw, os.O_RDWR)
    began = time.monotonic()
    try:
        while True:
            done = enough(len(sent), time.monotonic() - began)
            if done and len(delays) == len(sent):
                return Pressed(delays, time.monotonic() - began)
            room = not done and len(sent) - len(delays) < under_way
            ready = select.select([seen], [device] if room else [], [], REPORT_LIMIT_S)
            assert any(ready), f"report {len(delays)} of {len(sent)} does not come"
            if ready[0]:
                report = os.read(seen, REPORT.size)
                delays.append(time.monotonic() - sent[len(delays)])
                number = REPORT.unpack(report)[2]
                assert number == len(delays) - 1, f"report {len(delays) - 1}: {report.hex()}"
            if ready[1]:
                now = time.monotonic()
                with contextlib.suppress(BlockingIOError):  # the one before is not through yet
                    os.write(device, REPORT.pack(0, 0, len(sent), 0))
                    sent.append(now)
    finally:
        os.close(seen)
        os.close(device)
