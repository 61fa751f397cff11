"""Small images and a file that plays a card, for the tests of updates."""

import functools
import hashlib
import random
from pathlib import Path

from gadgetip.appliance.boot_state import STATE_OFFSETS, format_boot_state
from gadgetip.appliance.card_here import Card
from gadgetip.appliance.image_manifest import (
    OFFSET,
    RECORD_OFFSETS,
    About,
    Manifest,
    format_manifest,
)
from gadgetip.appliance.slots import CONFIRMED, Slot, Slots

SLOT_SIZE = 3 << 20
CONTENT_SIZE = (5 << 20) // 2
AT = 1 << 20
BOARD = "pi-zero-2w"
OLD = About(BOARD, "0.1.0", "2026-11-30T00:00:00Z")
NEW = About(BOARD, "0.2.0", "2026-12-24T18:00:00Z")


@functools.cache
def content_of(seed: int, size: int = CONTENT_SIZE) -> bytes:
    """A system: bytes that no other has."""
    return random.Random(seed).randbytes(size)


def manifest_of(content: bytes, about: About = NEW, offset: int = AT) -> Manifest:
    """What describes it."""
    return Manifest(about, offset, len(content), hashlib.sha256(content).hexdigest())


def image_of(content: bytes, manifest: Manifest | None = None) -> bytes:
    """An image with this content; the manifest may lie."""
    manifest = manifest or manifest_of(content)
    head = bytes(OFFSET) + format_manifest(manifest)
    return head.ljust(manifest.offset, b"\0") + content + bytes(1 << 20)


def new_card(directory: Path, running: Slot = Slot.A, slots: Slots | None = None) -> Card:
    """A card whose running slot has the old system, and whose other one has something else."""
    disk = directory / "disk"
    with disk.open("wb") as file:
        file.truncate(AT)
        old = manifest_of(content_of(1), OLD)
        for offset in (OFFSET, RECORD_OFFSETS[running]):
            file.seek(offset)
            file.write(format_manifest(old))
        for offset in STATE_OFFSETS:
            file.seek(offset)
            file.write(format_boot_state(slots or Slots(running, 3, 3).having(running, CONFIRMED)))
    paths = {slot: directory / slot for slot in Slot}
    paths[running].write_bytes(content_of(1).ljust(SLOT_SIZE, b"\0"))
    paths[running.other].write_bytes(content_of(9, SLOT_SIZE))
    return Card(disk, paths, running)
