"""The boot script as U-Boot's `source` takes it: the text in an envelope with checksums.

Debian's U-Boots do not all open the same one. Those of the Raspberry Pis know only the *legacy*
image, a header of 64 bytes; the BeagleBone's, which can check signatures, knows only the flattened
image tree (*FIT*), a device tree whose property is the script; QEMU's know both. mkimage(1) makes
either, the second with the help of dtc(1); both are so small that they are made here, always the
same bytes.

Formats: U-Boot's include/image.h (`struct legacy_img_hdr`), doc/usage/fit, boot/image-fit.c; the
device tree specification, version 0.4, chapter 5.
"""

import struct
import zlib
from enum import StrEnum

_MAGIC = 0x27051956
_LINUX, _ARM, _SCRIPT, _UNCOMPRESSED = 5, 2, 6, 0

_TREE_MAGIC = 0xD00DFEED
_BEGIN_NODE, _END_NODE, _PROPERTY, _END = 1, 2, 3, 9


class Envelope(StrEnum):
    """What a board's U-Boot opens."""

    LEGACY = "legacy"
    FIT = "fit"


def wrapped(script: bytes, envelope: Envelope, time: int) -> bytes:
    """boot.scr out of boot.cmd; `time` in seconds since 1970 is in its header."""
    return fit_image(script, time) if envelope is Envelope.FIT else legacy_image(script, time)


def legacy_image(script: bytes, time: int) -> bytes:
    """What `mkimage -T script` makes: a list of one length, a zero, and the text."""
    content = struct.pack(">II", len(script), 0) + script
    header = struct.pack(
        ">7I4B32s",
        _MAGIC,
        0,
        time,
        len(content),
        0,
        0,
        zlib.crc32(content),
        _LINUX,
        _ARM,
        _SCRIPT,
        _UNCOMPRESSED,
        b"gadgetip",
    )
    return header[:4] + struct.pack(">I", zlib.crc32(header)) + header[8:] + content


def fit_image(script: bytes, time: int) -> bytes:
    """A tree with one image in it, which `source` takes because it is the default."""
    strings = _Strings()

    def text(name: str, value: str) -> bytes:
        return strings.property(name, value.encode() + b"\0")

    def number(name: str, value: int) -> bytes:
        return strings.property(name, struct.pack(">I", value))

    checksum = _node("hash-1", number("value", zlib.crc32(script)), text("algo", "crc32"))
    image = _node(
        "boot",
        text("description", "which slot boots"),
        strings.property("data", script),
        text("type", "script"),
        text("compression", "none"),
        checksum,
    )
    root = _node(
        "",
        number("timestamp", time),
        text("description", "gadgetip"),
        number("#address-cells", 1),
        _node("images", text("default", "boot"), image),
    )
    structure = root + struct.pack(">I", _END)
    reserved = bytes(16)
    start = 40 + len(reserved)
    header = struct.pack(
        ">10I",
        _TREE_MAGIC,
        start + len(structure) + len(strings.block),
        start,
        start + len(structure),
        40,
        17,
        16,
        0,
        len(strings.block),
        len(structure),
    )
    return header + reserved + structure + strings.block


def _node(name: str, *content: bytes) -> bytes:
    return (
        struct.pack(">I", _BEGIN_NODE)
        + _padded(name.encode() + b"\0")
        + b"".join(content)
        + struct.pack(">I", _END_NODE)
    )


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


class _Strings:
    """The names of properties, which a tree keeps in a block of their own."""

    def __init__(self) -> None:
        self.block = b""
        self._offsets: dict[str, int] = {}

    def property(self, name: str, value: bytes) -> bytes:
        if name not in self._offsets:
            self._offsets[name] = len(self.block)
            self.block += name.encode() + b"\0"
        return struct.pack(">III", _PROPERTY, len(value), self._offsets[name]) + _padded(value)
