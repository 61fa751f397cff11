"""An archive as the kernel unpacks it into its initramfs: cpio's "newc" form, and nothing else.

Documentation/driver-api/early-userspace/buffer-format.rst has the form. Everything in it belongs to
root and has the same time; the order is that of the names, which puts directories before what is in
them.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory, link or device: its mode with the type, and a file's or link's content."""

    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory() -> Entry:
    """A directory."""
    return Entry(stat.S_IFDIR | 0o755)


def file(content: bytes, mode: int = 0o644) -> Entry:
    """A file."""
    return Entry(stat.S_IFREG | mode, content)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def device(major: int, minor: int) -> Entry:
    """A character device."""
    return Entry(stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Mapping[str, Entry], time: int) -> bytes:
    """The archive; names are without a leading slash. Directories above an entry are added."""
    whole = dict(entries)
    for name in entries:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            whole.setdefault("/".join(parts[:depth]), directory())
    return b"".join(_records(whole, time))


def _records(entries: Mapping[str, Entry], time: int) -> Iterator[bytes]:
    for number, (name, entry) in enumerate(sorted(entries.items()), 1):
        yield _record(number, name, entry, time)
    yield _record(0, TRAILER, Entry(0), 0)


def _record(number: int, name: str, entry: Entry, time: int) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        *(number, entry.mode, 0, 0, links, time, len(entry.content), 0, 0),
        *(*entry.device, len(encoded), 0),
    )
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
