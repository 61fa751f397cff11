"""What is timed on a disk: each work is a function from its node to a figure."""

import json
import mmap
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SEQUENTIAL_BYTES = 16 << 20
REQUEST_BYTES = 1 << 20
RANDOM_READS = 64
BLOCK = 4096

Work = Callable[[Path], float]


def sequential(*, write: bool) -> Work:
    """MB/s of a transfer in requests of 1 MiB, past the page cache, flushed at the end."""

    def work(disk: Path) -> float:
        buffer = mmap.mmap(-1, REQUEST_BYTES)  # page-aligned, as O_DIRECT wants it
        buffer.write(os.urandom(REQUEST_BYTES))
        file = os.open(disk, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT)
        try:
            began = time.monotonic()
            for at in range(0, SEQUENTIAL_BYTES, REQUEST_BYTES):
                moved = os.pwritev(file, [buffer], at) if write else os.preadv(file, [buffer], at)
                assert moved == REQUEST_BYTES
            if write:
                os.fsync(file)
            return SEQUENTIAL_BYTES / (time.monotonic() - began) / 1e6
        finally:
            os.close(file)

    return work


def random_reads(disk: Path) -> float:
    """Reads of 4 KiB a second, one at a time, at random offsets."""
    done = subprocess.run(
        [
            "fio",
            "--name=r",
            f"--filename={disk}",
            "--rw=randread",
            f"--bs={BLOCK}",
            "--direct=1",
            f"--io_size={RANDOM_READS * BLOCK}",
            "--size=32m",
            "--randseed=1",
            "--readonly",
            "--output-format=json",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(done.stdout)["jobs"][0]["read"]["iops"])


WORKS: dict[str, tuple[str, Work]] = {
    "sequential read": ("MB/s", sequential(write=False)),
    "sequential write": ("MB/s", sequential(write=True)),
    "4 KiB random read": ("reads/s", random_reads),
}


def cell(values: Sequence[float], unit: str) -> str:
    """The median, and the spread behind it."""
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Of two medians."""
    return f"{statistics.median(values) / statistics.median(base):.2f}"
