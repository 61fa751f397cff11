"""What this machine needs its devices for: mounts, swap, holders of disks, the default route.

Facts are texts of the kernel's in /proc and links in /sys; `parse_*` read the texts and touch
nothing, `gather_facts` reads the files. What cannot be read is left out: a container may see less,
and then the kernel has the last word.

A block device is known by its number "8:17", for names are only names. Btrfs (and overlays) mount
under a number that belongs to no block device; there the mount's source, "/dev/sdb1", leads to one,
and /sys/fs/btrfs to the others of the same file system. ZFS says nowhere which disks it is on.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\", r"\043": "#"}
_ROUTE_UP = 0x0001  # RTF_UP, RTF_REJECT of include/uapi/linux/route.h
_ROUTE_REJECT = 0x0200


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system; `number` is its block device's, or one that belongs to none."""

    number: str
    mount_point: str
    source: str
    file_system: str


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk, a partition, or what is made of others.

    `path` is resolved, below /sys. `below` are the names of the block devices that it stands on:
    a partition's disk, the members of an array, the disk under dm-crypt.
    """

    name: str
    number: str
    path: str
    below: tuple[str, ...] = ()
    label: str = ""
    """The name that people know it by: device mapper's."""


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """An interface and, for a bridge, a bond or a VLAN, those that it stands on."""

    name: str
    path: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What `reason_to_keep` needs to know of this machine."""

    mounts: tuple[Mount, ...] = ()
    swaps: tuple[str, ...] = ()
    """Numbers of the block devices that are swapped to."""
    block_devices: tuple[BlockDevice, ...] = ()
    file_system_members: tuple[frozenset[str], ...] = ()
    """Names of block devices that are one file system together."""
    interfaces: tuple[NetworkInterface, ...] = ()
    default_routes: tuple[str, ...] = ()
    """Names of the interfaces that the preferred default routes go through."""


def gather_facts() -> MachineFacts:
    """The facts of this moment; never raises, needs no root."""
    texts = [_read(f"/proc/{process}/mountinfo") for process in ("self", "1")]
    mounts = dict.fromkeys(mount for text in texts for mount in parse_mountinfo(text))
    return MachineFacts(
        mounts=tuple(_with_number_of_source(mount) for mount in mounts),
        swaps=tuple(
            number for path in parse_swaps(_read("/proc/swaps")) if (number := _number_of(path))
        ),
        block_devices=tuple(_block_devices()),
        file_system_members=tuple(
            frozenset(_names(directory)) for directory in Path("/sys/fs/btrfs").glob("*/devices")
        ),
        interfaces=tuple(_interfaces()),
        default_routes=(
            *parse_routes(_read("/proc/net/route")),
            *parse_ipv6_routes(_read("/proc/net/ipv6_route")),
        ),
    )


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Read /proc/PID/mountinfo (proc(5)); lines that are none are left out."""
    found = []
    for line in text.split("\n"):
        front, separator, back = line.partition(" - ")
        fields, behind = front.split(" "), back.split(" ")
        if separator and len(fields) >= 6 and len(behind) >= 2:
            found.append(Mount(fields[2], _unescape(fields[4]), _unescape(behind[1]), behind[0]))
    return tuple(found)


def parse_swaps(text: str) -> tuple[str, ...]:
    """The paths in /proc/swaps that are block devices; a file's file system is mounted anyway."""
    rows = (line.split() for line in text.split("\n")[1:])
    return tuple(_unescape(row[0]) for row in rows if len(row) >= 2 and row[1] == "partition")


def parse_routes(text: str) -> tuple[str, ...]:
    """The interfaces of the IPv4 default routes with the lowest metric, from /proc/net/route."""
    found = []
    for line in text.split("\n")[1:]:
        row = line.split()
        try:
            name, destination, flags, metric, mask = (row[i] for i in (0, 1, 3, 6, 7))
            is_default = int(destination, 16) == int(mask, 16) == 0
            if is_default and int(flags, 16) & (_ROUTE_UP | _ROUTE_REJECT) == _ROUTE_UP:
                found.append((int(metric), name))
        except (IndexError, ValueError):
            continue
    return _preferred(found)


def parse_ipv6_routes(text: str) -> tuple[str, ...]:
    """The same of IPv6, from /proc/net/ipv6_route."""
    found = []
    for line in text.split("\n"):
        row = line.split()
        try:
            destination, length, metric, flags, name = (row[i] for i in (0, 1, 5, 8, 9))
            is_default = int(destination, 16) == int(length, 16) == 0
            if is_default and int(flags, 16) & (_ROUTE_UP | _ROUTE_REJECT) == _ROUTE_UP:
                found.append((int(metric, 16), name))
        except (IndexError, ValueError):
            continue
    return _preferred([(metric, name) for metric, name in found if name != "lo"])


def _preferred(routes: list[tuple[int, str]]) -> tuple[str, ...]:
    best = min((metric for metric, _ in routes), default=0)
    return tuple(dict.fromkeys(name for metric, name in routes if metric == best))


def _unescape(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text


def _with_number_of_source(mount: Mount) -> Mount:
    """A mount whose own number belongs to no block device gets that of its source."""
    if not mount.number.startswith("0:") or not mount.source.startswith("/dev/"):
        return mount
    number = _number_of(mount.source)
    return Mount(number or mount.number, mount.mount_point, mount.source, mount.file_system)


def _number_of(path: str) -> str | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (a path of the kernel's, as it is)
    except (OSError, ValueError):
        return None
    if not stat.S_ISBLK(status.st_mode):
        return None
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _block_devices() -> Iterator[BlockDevice]:
    for link in Path("/sys/class/block").glob("*"):
        path = link.resolve()
        number = _read(path / "dev").strip()
        if not number:
            continue  # unplugged meanwhile
        below = _names(path / "slaves")
        if (path / "partition").exists():
            below.append(path.parent.name)
        backing = _read(path / "loop" / "backing_file").strip()
        if backing.startswith("/dev/"):
            below.append(backing.removeprefix("/dev/"))
        label = _read(path / "dm" / "name").strip()
        yield BlockDevice(link.name, number, str(path), tuple(below), label)


def _interfaces() -> Iterator[NetworkInterface]:
    for link in Path("/sys/class/net").glob("*"):
        below = [name.removeprefix("lower_") for name in _names(link) if name.startswith("lower_")]
        yield NetworkInterface(link.name, str(link.resolve()), tuple(below))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in directory.iterdir())
    except OSError:
        return []


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def standing_on(names: Iterable[str], below: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """`names` and whatever stands on them, directly or through others.

    `below` says for each thing what it stands on itself.
    """
    reached = frozenset(names)
    while True:
        more = {name for name, under in below.items() if reached.intersection(under)} - reached
        if not more:
            return reached
        reached |= more
