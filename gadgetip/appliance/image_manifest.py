"""What an image says of itself, for whoever updates from it (`image/1`, a JSON document).

It lies between the partition table and the first partition, filled with zeros: whoever reads an
image from its beginning meets it before what it describes. Nothing of it is believed before it is
checked: an image is a file out of the network.

A card keeps such a document for each of its slots too, written once the slot's content is on it and
verified. One that was flashed has none: its slot A is what the image's own describes.
"""

import json
import re
from dataclasses import dataclass

from gadgetip.appliance.boot_state import SECTOR
from gadgetip.appliance.slots import Slot
from gadgetip.errors import GadgetipError

SCHEMA = "image/1"
SIZE = 4096
OFFSET = 128 * SECTOR
"""Where an image has its manifest, in bytes."""
RECORD_OFFSETS = {Slot.A: 136 * SECTOR, Slot.B: 144 * SECTOR}
"""Where a card has the one of each slot's content."""
NOTHING = b"nothing\n".ljust(SIZE, b"\0")
"""What is there while a slot is written over."""

END_OF_RECORDS = max(RECORD_OFFSETS.values()) + SIZE
LARGEST_OFFSET = 1 << 30
"""In bytes: so much is read and thrown away at most."""
LARGEST_SIZE = 16 << 30
"""In bytes; a board compares the size with its own slot's as well."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~-]{0,39}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NotAnImageError(GadgetipError):
    """What was given as an image is none, or not a whole one."""


@dataclass(frozen=True, slots=True)
class About:
    """Which system it is; `built` is UTC, like 2026-11-30T00:00:00Z."""

    board: str
    version: str
    built: str

    def __str__(self) -> str:
        return f"{self.version}, built {self.built}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image: `size` bytes from byte `offset` on are a slot's content."""

    about: About
    offset: int
    size: int
    sha256: str
    """In lower case, of those bytes."""


def parse_about(text: str | bytes) -> About:
    """What a running image has in /etc/gadgetip/image; raises `NotAnImageError`."""
    return _about(_document(text))


def has_wireless(text: str | bytes) -> bool:
    """Whether a running image says in /etc/gadgetip/image that it can join a wireless network.

    One that does not say so has it: an earlier image, or none.
    """
    try:
        return _document(text).get("wireless") is not False
    except NotAnImageError:
        return True


def parse_manifest(block: bytes) -> Manifest:
    """Read a manifest, the zeros behind it too; raises `NotAnImageError`, which says why."""
    document = _document(block.rstrip(b"\0"))
    about = _about(document)
    slot = document.get("slot")
    if not isinstance(slot, dict):
        raise NotAnImageError("its manifest says nothing of a slot")
    offset = _number(slot, "offset", END_OF_RECORDS, LARGEST_OFFSET)
    size = _number(slot, "size", SECTOR, LARGEST_SIZE)
    return Manifest(about, offset, size, _text(slot, "sha256", _SHA256))


def format_manifest(manifest: Manifest) -> bytes:
    """The document, filled with zeros to `SIZE` bytes."""
    slot = {"offset": manifest.offset, "size": manifest.size, "sha256": manifest.sha256}
    document = _about_document(manifest.about) | {"slot": slot}
    return json.dumps(document).encode("ascii").ljust(SIZE, b"\0")


def format_about(about: About, *, wireless: bool) -> str:
    """What the image has in /etc/gadgetip/image, a line, with what `has_wireless` reads."""
    return json.dumps(_about_document(about) | {"wireless": wireless}) + "\n"


def slot_content(record: bytes, flashed: bytes, slot: Slot) -> Manifest | None:
    """What is in a slot: by its own record, or for slot A by the image's; None where nothing is."""
    if slot is Slot.A and not record.strip(b"\0"):
        record = flashed
    try:
        return parse_manifest(record)
    except NotAnImageError:
        return None


def _document(text: str | bytes) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise NotAnImageError("there is no manifest of gadgetip's in it") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise NotAnImageError(f"its manifest is not {SCHEMA}: this gadgetip is too old for it")
    return document


def _about_document(about: About) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "board": about.board,
        "version": about.version,
        "built": about.built,
    }


def _about(document: dict[str, object]) -> About:
    return About(
        _text(document, "board", _NAME),
        _text(document, "version", _VERSION),
        _text(document, "built", _TIME),
    )


def _text(document: dict[str, object], key: str, form: re.Pattern[str]) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise NotAnImageError(f"its manifest has no usable {key!r}")
    return value


def _number(document: dict[str, object], key: str, least: int, most: int) -> int:
    value = document.get(key)
    if type(value) is not int or not least <= value <= most or value % SECTOR:
        raise NotAnImageError(f"its manifest has no usable {key!r}")
    return value
