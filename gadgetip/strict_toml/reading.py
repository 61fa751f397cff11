"""The bytes of a file that somebody named, read without waiting for anybody.

Only a regular file is read: nobody may ever write to a pipe, and opening a device may do something.
O_NONBLOCK makes the opening itself return.
"""

import os
import stat
from importlib.resources.abc import Traversable
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


def read_bytes(file: Traversable, most: int) -> bytes:
    """Read the first `most` bytes; raises `OSError`, and `ValueError` for what no path can be."""
    if not isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(most)
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open() refuses a directory itself
            raise OSError(f"{_KINDS.get(stat.S_IFMT(mode), 'it is special')}, not a regular file")
        with open(descriptor, "rb", closefd=False) as opened:
            return opened.read(most)
    finally:
        os.close(descriptor)
