"""One attachment a controller.

A lock file says who has a controller. The kernel drops the lock with its last holder, keeper or
worker, however they died: what is found under a controller's name while the lock is free is debris
and may be removed; while it is held it is somebody's.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from gadgetip.errors import PrerequisiteError

LOCK_DIRECTORY = Path("/run/gadgetip")
LOCK_LIMIT_S = 3.0
LOCK_POLL_S = 0.05


class UdcLock:
    """The lock of one controller; hold it for as long as anything of ours is bound to it."""

    def __init__(self, udc: str) -> None:
        self._udc = udc
        self._file = -1

    def __enter__(self) -> "UdcLock":
        """Take the lock; raises `PrerequisiteError` naming the process that has it.

        A worker whose keeper was killed needs a moment to notice, so a held lock is waited for,
        briefly.
        """
        LOCK_DIRECTORY.mkdir(parents=True, exist_ok=True)
        path = LOCK_DIRECTORY / f"{self._udc}.lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
                    os.close(self._file)
                    raise PrerequisiteError(
                        f"{self._udc} is attached by another gadgetip (process {holder or '?'}): "
                        "stop that one first"
                    ) from None
                time.sleep(LOCK_POLL_S)
            else:
                break
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)
        return self

    @property
    def file(self) -> int:
        """The file that holds the lock, for a process that is to hold it too."""
        return self._file

    def __exit__(self, *_: object) -> None:
        """Let go. The file stays: removing it would let two processes lock two files."""
        with contextlib.suppress(OSError):
            os.close(self._file)
