"""A lock file of root's: one process at a time, and it says which.

Nobody else may open the file, because whoever can open it can hold the lock. The kernel drops the
lock with the process, however that died. The file itself stays: removing it would let two processes
lock two files.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.05


class FileLockedError(Exception):
    """Another process has the lock; `holder` is its process id, as it wrote it."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextmanager
def opened_lock(path: Path) -> Iterator[int]:
    """Open a lock file, with the directories above it; raises `OSError`."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    try:
        os.fchmod(file, 0o600)  # an older one was made for everybody to read
        yield file
    finally:
        os.close(file)


def take_lock(file: int, limit_s: float = 0.0) -> None:
    """Take the lock of an open lock file; it goes when the file is closed.

    Raises `FileLockedError` when somebody else still has it after `limit_s` seconds.
    """
    deadline = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
                raise FileLockedError(holder) from None
            time.sleep(POLL_S)
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode("ascii"), 0)
