"""A serial port (CDC-ACM): bytes through its terminals, one direction at a time."""

import os
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.performance.metrics import RATE, Work
from tests.performance.works.work import Outcome, Run, Subject
from tests.system import drivers
from tests.system.devices import Gadget, catalogue

WINDOW_BYTES = 32 << 10
ARRIVAL_LIMIT_S = 30.0
SHAPE = f"raw terminals at both ends, {WINDOW_BYTES >> 10} KiB under way"


class Serial(Subject):
    """The kernel's CDC-ACM gadget; its replica needs GadgetFS."""

    name = "serial"
    works = (
        Work("serialin", "serial, to the host", {"mb_per_s": RATE}, SHAPE),
        Work("serialout", "serial, to the device", {"mb_per_s": RATE}, SHAPE),
    )

    def plugged(self) -> Gadget:
        return Gadget(catalogue.cdc_acm(), "dummy_udc.0")

    @contextmanager
    def opened(self, gadget: Gadget, device: Path) -> Iterator[Mapping[str, Run]]:
        with (
            drivers.raw_terminal(gadget.node(gadget.description.functions[0])) as far,
            drivers.raw_terminal(drivers.terminal(device)) as near,
        ):
            yield {"serialin": partial(stream, far, near), "serialout": partial(stream, near, far)}


def stream(source: int, sink: int, seconds: float) -> Outcome:
    """Send for so long, then wait for what is under way; at least a window's worth."""
    block = os.urandom(WINDOW_BYTES)
    sent = arrived = 0
    began = now = time.monotonic()
    while arrived < sent or sent < WINDOW_BYTES or now - began < seconds:
        assert now - began < seconds + ARRIVAL_LIMIT_S, f"{arrived} of {sent} bytes arrived"
        sending = now - began < seconds or sent < WINDOW_BYTES
        room = arrived + WINDOW_BYTES - sent if sending else 0
        readable, writable, _ = select.select([sink], [source] if room else [], [], 1.0)
        if writable:
            sent += os.write(source, block[:room])
        if readable:
            arrived += len(os.read(sink, 1 << 16))
        now = time.monotonic()
    return Outcome({"mb_per_s": arrived / (now - began) / 1e6}, arrived, arrived, now - began)
