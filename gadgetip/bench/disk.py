"""Timing a disk from the host's side: past the page cache, one request at a time.

Sequential requests are 1 MiB, which the kernel cuts as the device wants it; random ones are 4 KiB
at offsets that are multiples of that. A disk is written to only where nothing uses it: it is opened
exclusively (O_EXCL), which the kernel refuses while a filesystem or another driver has it or one of
its partitions. What was on it is not kept.
"""

import errno
import mmap
import os
import random
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gadgetip.bench.disk_use import uses_of
from gadgetip.bench.latencies import Spread, spread
from gadgetip.errors import GadgetipError, PrerequisiteError, UsageError

REQUEST_BYTES = 1 << 20
BLOCK_BYTES = 4096
BLOCKS = Path("/sys/class/block")


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """One way: bytes a second in sequence, and how long requests of 4 KiB took.

    `interrupted` by Ctrl-C it has what was measured until then, which may be nothing.
    """

    bytes_per_s: float
    sequential_bytes: int
    random: Spread | None
    interrupted: bool = False

    @property
    def random_per_s(self) -> float | None:
        """Requests of 4 KiB a second, one at a time; by the median."""
        if self.random is None:
            return None
        return 1 / self.random.p50_s if self.random.p50_s else 0.0


@contextmanager
def opened(disk: Path, *, write: bool) -> Iterator[int]:
    """The disk's file, past the page cache; raises an error that says what is wrong."""
    flags = os.O_DIRECT | os.O_CLOEXEC | (os.O_RDWR | os.O_EXCL if write else os.O_RDONLY)
    if write and (uses := uses_now(disk)):
        raise GadgetipError(f"{disk} is in use and is not written to: {'; '.join(uses)}")
    try:
        file = os.open(disk, flags)
    except PermissionError:
        raise PrerequisiteError(f"{disk} may not be opened: try again with sudo") from None
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise GadgetipError(f"{disk} is in use and is not written to") from None
        if error.errno == errno.ENOMEDIUM:
            raise GadgetipError(f"{disk} has no medium") from None
        raise GadgetipError(f"{disk} cannot be opened: {error.strerror}") from None
    try:
        yield file
    except OSError as error:
        raise GadgetipError(f"{disk} failed: {error.strerror}") from None
    finally:
        os.close(file)


def require_disk(disk: Path) -> None:
    """Raise `UsageError` for what is no disk."""
    try:
        mode = disk.stat().st_mode
    except OSError as error:
        raise UsageError(f"{disk}: {error.strerror}") from None
    if not stat.S_ISBLK(mode):
        raise UsageError(f"{disk} is no disk: a disk is a block device such as /dev/sda")


def uses_now(disk: Path) -> list[str]:
    """Why it is not to be written to, as the kernel lists it now."""
    own = BLOCKS / disk.resolve().name
    parts = [own, *(path.parent for path in own.glob("*/partition"))]
    numbers, holders = {}, {}
    for part in parts:
        try:
            numbers[part.name] = (part / "dev").read_text().strip()
            holders[part.name] = sorted(path.name for path in (part / "holders").glob("*"))
        except OSError:
            continue
    mountinfo = Path("/proc/self/mountinfo").read_text()
    swaps = Path("/proc/swaps")
    return uses_of(numbers, mountinfo, swaps.read_text() if swaps.exists() else "", holders)


def time_disk(file: int, seconds: float, *, write: bool) -> DiskSpeed:
    """Half of the time in sequence from its beginning, the other half at random.

    A disk that ends sooner is done sooner, and Ctrl-C ends it with what was measured. Raises
    `OSError`, `GadgetipError` for one that is too small.
    """
    size = os.lseek(file, 0, os.SEEK_END)
    if size < REQUEST_BYTES:
        raise GadgetipError(f"the disk has {size} bytes, too few to measure")
    moved, took_s, interrupted = _in_sequence(file, size, seconds / 2, write=write)
    times: list[float] = []
    if not interrupted:
        times, interrupted = _at_random(file, size, seconds / 2, write=write)
    return DiskSpeed(moved / took_s, moved, spread(times), interrupted)


def _in_sequence(file: int, size: int, seconds: float, *, write: bool) -> tuple[int, float, bool]:
    """Bytes, the seconds that they took, and whether Ctrl-C ended it."""
    buffer = mmap.mmap(-1, REQUEST_BYTES)  # aligned to pages, as O_DIRECT wants it
    buffer.write(os.urandom(REQUEST_BYTES))
    moved = 0
    began = time.monotonic()
    interrupted = False
    try:
        while moved + REQUEST_BYTES <= size:
            _request(file, buffer, moved, write=write)
            moved += REQUEST_BYTES
            if not time.monotonic() - began < seconds:
                break
    except KeyboardInterrupt:
        interrupted = True
    if write:
        os.fsync(file)
    return moved, time.monotonic() - began, interrupted


def _at_random(file: int, size: int, seconds: float, *, write: bool) -> tuple[list[float], bool]:
    """The seconds of each request, and whether Ctrl-C ended it."""
    buffer = mmap.mmap(-1, BLOCK_BYTES)
    buffer.write(os.urandom(BLOCK_BYTES))
    blocks = size // BLOCK_BYTES
    times: list[float] = []
    until = time.monotonic() + seconds
    try:
        while not times or time.monotonic() < until:
            at = random.randrange(blocks) * BLOCK_BYTES  # noqa: S311 (no secret)
            began = time.perf_counter()
            _request(file, buffer, at, write=write)
            times.append(time.perf_counter() - began)
    except KeyboardInterrupt:
        return times, True
    return times, False


def _request(file: int, buffer: mmap.mmap, at: int, *, write: bool) -> None:
    moved = os.pwritev(file, [buffer], at) if write else os.preadv(file, [buffer], at)
    if moved != len(buffer):
        raise OSError(errno.EIO, f"{moved} of {len(buffer)} bytes moved at {at}")
