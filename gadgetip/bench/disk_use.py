"""Who uses a disk, from what the kernel lists; nothing here has effects."""

import re
from collections.abc import Mapping


def uses_of(
    numbers: Mapping[str, str], mountinfo: str, swaps: str, holders: Mapping[str, list[str]]
) -> list[str]:
    """Why a disk is not to be written to, a text each.

    `numbers` are the device numbers ("8:0") of the disk and its partitions, by name; `holders` the
    names of the devices (LVM, RAID, encryption) that are made of each. `mountinfo` is
    /proc/self/mountinfo, `swaps` /proc/swaps.
    """
    found = []
    by_number = {number: name for name, number in numbers.items()}
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) < 5:
            continue
        name = by_number.get(fields[2]) or _named(fields, numbers)
        if name is not None:
            found.append(f"{name} is mounted on {_unescaped(fields[4])}")
    for line in swaps.splitlines()[1:]:
        name = line.split(" ", 1)[0].removeprefix("/dev/")
        if name in numbers:
            found.append(f"{name} is swap")
    for name, above in holders.items():
        found += [f"{name} is part of {each}" for each in above]
    return found


def _named(fields: list[str], numbers: Mapping[str, str]) -> str | None:
    """Filesystems like btrfs have a device number of their own, and say where they are from."""
    try:
        source = fields[fields.index("-") + 2]
    except (ValueError, IndexError):
        return None
    name = source.removeprefix("/dev/")
    return name if name in numbers else None


def _unescaped(text: str) -> str:
    """Spaces and the like are written as octal numbers (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
