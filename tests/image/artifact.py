"""What `make image` made: looked for, compared with its SHA-256, unpacked once."""

import hashlib
import lzma
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.image import places
from tests.image.card import Card
from tests.machine.errors import BenchError


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image and its companions."""

    board: str
    packed: Path

    @property
    def sum(self) -> str:
        """The SHA-256 of the compressed image, as the file beside it says."""
        text = self.packed.with_name(f"{self.packed.name}.sha256").read_text()
        for line in text.splitlines():
            digest, _, name = line.partition("  ")
            if name == self.packed.name:
                return digest
        raise BenchError(f"{self.packed.name}.sha256 has no line for it")

    def unpacked(self) -> Card:
        """The card's content, from which cards are copied and which nobody changes."""
        path = places.scratch() / "image.raw"
        stamp = path.with_suffix(".sha256")
        if not (path.exists() and stamp.exists() and stamp.read_text() == self.sum):
            stamp.unlink(missing_ok=True)
            with self.packed.open("rb") as packed:
                found = hashlib.file_digest(packed, "sha256").hexdigest()
            if found != self.sum:
                raise BenchError(f"{self.packed} is not what its .sha256 says")
            path.unlink(missing_ok=True)
            with lzma.open(self.packed) as packed, path.open("wb") as file:
                _copy_sparsely(packed, file)
            path.chmod(0o444)
            stamp.write_text(self.sum)
        return Card(path)


def find(board: str) -> Artifact:
    """The image of a board; raises BenchError if there is none."""
    packed = places.images() / f"gadgetip-{board}.img.xz"
    if not packed.exists():
        raise BenchError(f"{packed} is not there: `make image BOARD={board}` makes it")
    return Artifact(board, packed)


def _copy_sparsely(source: IO[bytes], target: IO[bytes]) -> None:
    while block := source.read(1 << 20):
        if block.count(0) == len(block):
            target.seek(len(block), os.SEEK_CUR)
        else:
            target.write(block)
    target.truncate()
