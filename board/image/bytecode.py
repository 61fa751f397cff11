"""Python's compiled modules, so that an image's Python takes them as they are.

Whoever compiles a module notes its source's time or sum in it (PEP 552), and each start compares:
with the time, which a reproducible build has changed, so that all is compiled anew at each boot; or
with the sum, for which every source is read. In an image the two never part. So each compiled
module is marked as one that nothing needs to be compared with.

Run as a program in an image's root: `python3 bytecode.py DIRECTORY`.
"""

import sys
from pathlib import Path

HEADER_BYTES = 16
"""The interpreter's number, flags, and time and size, or a sum."""
UNCHECKED = (1).to_bytes(4, "little")
NO_SUM = bytes(8)


def unchecked(compiled: bytes) -> bytes:
    """The same compiled module, that is not compared with its source."""
    return compiled[:4] + UNCHECKED + NO_SUM + compiled[HEADER_BYTES:]


def mark_all(directory: Path) -> int:
    """Mark every compiled module below `directory`; returns how many there are."""
    found = sorted(directory.rglob("__pycache__/*.pyc"))
    for path in found:
        path.write_bytes(unchecked(path.read_bytes()))
    return len(found)


if __name__ == "__main__":
    print(f"image: {mark_all(Path(sys.argv[1], 'usr'))} compiled modules of Python's", flush=True)
