"""A stick: long transfers one after the other, and blocks of 4 KiB at random places.

All of it past the page cache. A host's mass storage driver has one command under way at a time, so
a program with many requests under way would measure the same. That is also why it is not fio: its
start takes an emulated processor longer than the work.
"""

import mmap
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.performance.metrics import PER_SECOND, PERCENTILES, RATE, Work, percentiles
from tests.performance.works.work import Outcome, Run, Subject
from tests.system import host
from tests.system.devices import Gadget
from tests.system.stick import Stick
from tests.system.waiting import wait_for

REQUEST_BYTES = 1 << 20
SPAN_BYTES = 32 << 20
BLOCK = 4096
FEWEST_BLOCKS = 10


class Storage(Subject):
    """The kernel's mass storage gadget, 64 MiB in memory."""

    name = "storage"
    works = (
        Work("seqread", "sequential read", {"mb_per_s": RATE}, "requests of 1 MiB, O_DIRECT"),
        Work(
            "seqwrite",
            "sequential write",
            {"mb_per_s": RATE},
            "requests of 1 MiB, O_DIRECT, flushed at the end",
        ),
        Work(
            "rand4k",
            "4 KiB random read",
            {"per_s": PER_SECOND, **PERCENTILES},
            "one at a time, O_DIRECT",
        ),
        Work(
            "randwrite4k",
            "4 KiB random write",
            {"per_s": PER_SECOND, **PERCENTILES},
            "one at a time, O_DIRECT",
        ),
    )

    @contextmanager
    def plugged(self) -> Iterator[Gadget]:
        with Stick("dummy_udc.0") as stick:
            stick.fill()
            yield stick

    @contextmanager
    def opened(self, gadget: Gadget, device: Path) -> Iterator[Mapping[str, Run]]:
        disk = wait_for(lambda: host.disk_of(device), f"a disk of {device.name}", 40.0)
        sequential(disk, 0.0, write=False)  # the host's own first reads of a new disk are over
        yield {
            "seqread": partial(sequential, disk, write=False),
            "seqwrite": partial(sequential, disk, write=True),
            "rand4k": partial(random_blocks, disk, write=False),
            "randwrite4k": partial(random_blocks, disk, write=True),
        }


def sequential(disk: Path, seconds: float, *, write: bool) -> Outcome:
    """Requests of 1 MiB one after the other, at least two, for so long."""
    move: Callable[[int, list[mmap.mmap], int], int] = os.pwritev if write else os.preadv
    buffer = mmap.mmap(-1, REQUEST_BYTES)  # page-aligned, as O_DIRECT wants it
    buffer.write(os.urandom(REQUEST_BYTES))
    file = os.open(disk, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT)
    try:
        began = time.monotonic()
        count = 0
        while count < 2 or time.monotonic() - began < seconds:
            moved = move(file, [buffer], count * REQUEST_BYTES % SPAN_BYTES)
            assert moved == REQUEST_BYTES
            count += 1
        if write:
            os.fsync(file)
        taken = time.monotonic() - began
    finally:
        os.close(file)
    total = count * REQUEST_BYTES
    return Outcome({"mb_per_s": total / taken / 1e6}, total, count, taken)


def random_blocks(disk: Path, seconds: float, *, write: bool) -> Outcome:
    """Blocks of 4 KiB at random places, one at a time, at least ten, for so long."""
    move: Callable[[int, list[mmap.mmap], int], int] = os.pwritev if write else os.preadv
    buffer = mmap.mmap(-1, BLOCK)
    buffer.write(os.urandom(BLOCK))
    places = random.Random(1)  # the same ones each time
    each: list[float] = []
    file = os.open(disk, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT)
    try:
        began = now = time.monotonic()
        while len(each) < FEWEST_BLOCKS or now - began < seconds:
            moved = move(file, [buffer], places.randrange(SPAN_BYTES // BLOCK) * BLOCK)
            assert moved == BLOCK
            before, now = now, time.monotonic()
            each.append(1000 * (now - before))
    finally:
        os.close(file)
    figures = {"per_s": len(each) / (now - began), **percentiles(each)}
    return Outcome(figures, len(each) * BLOCK, len(each), now - began)
