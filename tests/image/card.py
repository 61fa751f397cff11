"""A card: its layout, the files that a PC sees on it, and what lasts on it.

A card is a file here. It is looked at and changed from outside only while no machine has it.
"""

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gadgetip.appliance import image_manifest
from gadgetip.appliance.boot_state import (
    SECTOR,
    STATE_OFFSETS,
    format_boot_state,
    parse_boot_state,
)
from gadgetip.appliance.slots import Slots

FIRST, SLOT_A, SLOT_B = 1, 2, 3  # partitions
_ENTRY = struct.Struct("<B3xB3xII")


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a partition is, in bytes; `kind` is the MBR's number of what it holds."""

    offset: int
    size: int
    kind: int
    active: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One card."""

    path: Path

    def copy(self, path: Path) -> "Card":
        """Another card with the same content."""
        path.unlink(missing_ok=True)
        subprocess.run(
            ["cp", "--sparse=always", "--reflink=auto", self.path, path], check=True, timeout=300
        )
        path.chmod(0o644)
        return Card(path)

    def read(self, offset: int, size: int) -> bytes:
        """Some bytes."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def write(self, offset: int, data: bytes) -> None:
        """Write over some bytes."""
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def partition(self, number: int) -> Partition:
        """One of the four."""
        record = self.read(446 + 16 * (number - 1), 16)
        flag, kind, start, count = _ENTRY.unpack(record)
        return Partition(start * SECTOR, count * SECTOR, kind, flag == 0x80)

    @property
    def identifier(self) -> str:
        """The disk's, as in PARTUUID."""
        return f"{struct.unpack('<I', self.read(440, 4))[0]:08x}"

    @property
    def manifest(self) -> dict[str, Any]:
        """What the image says of itself."""
        text = self.read(image_manifest.OFFSET, image_manifest.SIZE).rstrip(b"\0")
        found = json.loads(text)
        assert isinstance(found, dict)
        return found

    def set_manifest(self, manifest: dict[str, Any]) -> None:
        """Have the image say something else."""
        text = json.dumps(manifest).encode()
        assert len(text) <= image_manifest.SIZE
        self.write(image_manifest.OFFSET, text.ljust(image_manifest.SIZE, b"\0"))

    def boot_state(self, copy: int = 0) -> Slots | None:
        """Which slot boots next and how often; None where a copy makes no sense."""
        return parse_boot_state(self.read(STATE_OFFSETS[copy], SECTOR))

    def set_boot_state(self, slots: Slots) -> None:
        """Both copies."""
        for offset in STATE_OFFSETS:
            self.write(offset, format_boot_state(slots))

    def get(self, name: str) -> bytes | None:
        """A file on the partition that a PC sees; None if it is not there."""
        done = subprocess.run(
            ["mtype", "-i", self._fat, f"::{name}"], check=False, capture_output=True, timeout=60
        )
        return None if done.returncode else done.stdout

    def put(self, name: str, data: bytes) -> None:
        """Write a file there, as a PC does."""
        self._mtools("mcopy", "-o", "-", f"::{name}", data=data)

    def remove(self, name: str) -> None:
        """Remove a file there."""
        self._mtools("mdel", f"::{name}")

    def names(self) -> set[str]:
        """What a PC sees at the top of it."""
        return set(self._mtools("mdir", "-b", "::/").replace("::/", "").split("\n")) - {""}

    def check_fat(self) -> str:
        """What a PC's check says of that partition; changes nothing."""
        part = self.extract(FIRST, self.path.with_suffix(".fat"))
        try:
            done = subprocess.run(
                ["/sbin/fsck.fat", "-n", part],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            part.unlink()
        return f"status {done.returncode}\n{done.stdout}{done.stderr}"

    def slot_file(self, number: int, name: str, path: Path) -> Path:
        """A file out of a slot, copied to `path`; an empty one if it is not there."""
        where = f"{self.path}?offset={self.partition(number).offset}"
        subprocess.run(
            ["/sbin/debugfs", "-R", f'dump "{name}" "{path}"', where],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return path

    def extract(self, number: int, path: Path) -> Path:
        """The content of a partition, in a file of its own."""
        where = self.partition(number)
        with self.path.open("rb") as card, path.open("wb") as file:
            card.seek(where.offset)
            left = where.size
            while left:
                block = card.read(min(left, 1 << 20))
                if block.count(0) == len(block):
                    file.seek(len(block), 1)
                else:
                    file.write(block)
                left -= len(block)
            file.truncate(where.size)
        return path

    def insert(self, number: int, path: Path) -> None:
        """Write a partition over with the content of a file, which may be shorter."""
        where = self.partition(number)
        assert path.stat().st_size <= where.size
        with path.open("rb") as file, self.path.open("r+b") as card:
            card.seek(where.offset)
            shutil.copyfileobj(file, card, 1 << 20)

    @property
    def _fat(self) -> str:
        return f"{self.path}@@{self.partition(FIRST).offset}"

    def _mtools(self, command: str, *arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(
            [command, "-i", self._fat, *arguments],
            check=False,
            capture_output=True,
            input=data,
            timeout=60,
        )
        if done.returncode:
            raise AssertionError(f"{command} {arguments}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace")
