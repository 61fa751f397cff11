"""The storage load: writes, flushes and reads through the replica, and looks into the device.

Everything is O_DIRECT: nothing that the host has in memory can hide what the disk has, or hold back
what was written. The disk is found by the replica's cable, each time anew, since its node has
another name after an unplug.
"""

import errno
import mmap
import os
from pathlib import Path

from tests.soak.blocks import BLOCK, BlockOracle
from tests.soak.load import Load
from tests.system import host

BLOCKS = 1024
LONGEST_RUN = 32
WRITES_BETWEEN_FLUSHES = 6
READS = 8
PAUSE_S = 0.05
AWAY_S = 0.25


class StorageLoad(Load):
    """Uses the first 4 MiB of the disk behind a cable; `store` is the device's backing file."""

    def __init__(self, udc: str, store: Path, seed: int) -> None:
        super().__init__("storage", seed)
        self._udc = udc
        self._store = store
        self._oracle = BlockOracle()
        self._faults: list[str] = []
        self._memory = mmap.mmap(-1, LONGEST_RUN * BLOCK)  # O_DIRECT wants aligned memory
        self._reads = self._errors = self._opened = 0

    def work(self) -> None:
        """Open the disk and use it until it goes."""
        while not self.stopping:
            if (disk := self._open()) is None:
                self.pace(AWAY_S)
                continue
            self._opened += 1
            try:
                while not self.stopping:
                    self._write_and_flush(disk)
                    self._read(disk)
                    self._look_into_device()
                    self.pace(self.random.random() * PAUSE_S)
            except OSError:
                self._errors += 1
            finally:
                self._oracle.lost_touch()
                os.close(disk)

    def finish(self) -> None:
        """Every block, on the device."""
        with self._store.open("rb") as store:
            for number in self._oracle.known:
                store.seek(number * BLOCK)
                self._judge("at the end, on the device: ", number, store.read(BLOCK))

    def judged(self) -> list[str]:
        """Blocks that are not what they must be."""
        return self._faults

    def progress(self) -> tuple[int, ...]:
        """Confirmed writes, and blocks that were read."""
        return self._oracle.confirmations, self._reads

    def totals(self) -> dict[str, float]:
        """Figures for the results."""
        return {
            "blocks_confirmed": self._oracle.confirmations,
            "blocks_read": self._reads,
            "errors": self._errors,
            "disk_opened": self._opened,
        }

    def _open(self) -> int | None:
        device = host.device_behind(host.controller_of(self._udc))
        try:
            disk = host.disk_of(device) if device else None
            return os.open(disk, os.O_RDWR | os.O_DIRECT) if disk else None
        except (OSError, ValueError):  # it goes while it is looked at
            return None

    def _write_and_flush(self, disk: int) -> None:
        for _ in range(self.random.randint(1, WRITES_BETWEEN_FLUSHES)):
            count = self.random.choice((1, 1, 2, 8, LONGEST_RUN))
            first = self.random.randrange(BLOCKS - count)
            run = range(first, first + count)
            self._memory.seek(0)
            for number in run:
                self._memory.write(self._oracle.issue(number))
            with memoryview(self._memory)[: count * BLOCK] as data:
                _whole(os.pwritev(disk, [data], first * BLOCK), len(data))
            self._oracle.written(run)
        os.fsync(disk)
        self._oracle.flushed()

    def _read(self, disk: int) -> None:
        known = self._oracle.known
        for number in self.random.sample(known, min(READS, len(known))):
            with memoryview(self._memory)[:BLOCK] as data:
                _whole(os.preadv(disk, [data], number * BLOCK), BLOCK)
                self._judge("read by the host: ", number, bytes(data))
            self._reads += 1

    def _look_into_device(self) -> None:
        """The same behind the device's back; nothing is under way now."""
        with self._store.open("rb") as store:
            for number in self.random.sample(self._oracle.known, 1):
                store.seek(number * BLOCK)
                self._judge("on the device: ", number, store.read(BLOCK))

    def _judge(self, where: str, number: int, data: bytes) -> None:
        self._faults += [where + fault for fault in self._oracle.faults(number, data)]


def _whole(moved: int, wanted: int) -> None:
    """A disk that was pulled out may end early instead of failing."""
    if moved != wanted:
        raise OSError(errno.EIO, f"{moved} of {wanted} bytes")
