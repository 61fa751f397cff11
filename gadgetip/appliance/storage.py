"""A disk, a partition, or a file that plays one: bytes at offsets, and whether they are on it.

What an update writes goes through here, all of it: its tests cut the power between any two writes,
and in the middle of each.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

PIECE = 1 << 20


class Storage:
    """One that is open; every method raises `OSError`."""

    def __init__(self, path: Path, *, writing: bool = False, exclusive: bool = False) -> None:
        """Open it; `exclusive` fails with EBUSY where it is mounted, or another has it so."""
        flags = os.O_RDWR if writing else os.O_RDONLY
        self._path = path
        self._file = os.open(path, flags | os.O_CLOEXEC | (os.O_EXCL if exclusive else 0))

    def __enter__(self) -> "Storage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    @property
    def size(self) -> int:
        """In bytes."""
        return os.lseek(self._file, 0, os.SEEK_END)

    def lock(self) -> None:
        """Wait until nobody else has it locked, and keep it so until it is closed."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def read(self, offset: int, size: int) -> bytes:
        """As much of it as there is."""
        return os.pread(self._file, size, offset)

    def write(self, offset: int, data: bytes) -> None:
        """All of it; it is on the medium after `sync` only."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            offset += written
            view = view[written:]

    def sync(self) -> None:
        """Return once everything is on the medium, as far as that tells the truth."""
        os.fsync(self._file)

    def read_back(self, size: int) -> Iterator[bytes]:
        """The first `size` bytes, from the medium itself and not from memory; call `sync` before.

        It ends early where the medium does.
        """
        # Page after page out of memory is what a card that has lost them would be hidden by.
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        with _opened_past_memory(self._path) as file, mmap.mmap(-1, PIECE) as buffer:
            done = 0
            while done < size:
                # Past the cache whole sectors are read, into memory that begins on a page.
                count = os.preadv(file, [buffer], done)
                if not count:
                    break
                yield buffer[: min(count, size - done)]
                done += count


@contextlib.contextmanager
def _opened_past_memory(path: Path) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        file = os.open(path, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:  # tmpfs has nothing behind its memory
            raise
        file = os.open(path, flags)
    try:
        yield file
    finally:
        os.close(file)
