"""A card's layout, read by the tools that read real cards."""

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from board.image import card
from board.image.boards import BOARDS, Board
from gadgetip.appliance import boot_state, image_manifest
from gadgetip.appliance.slots import TRIES, Slot, Slots

ABOUT = image_manifest.About(max(BOARDS, key=len), "0.1.0", "2026-11-30T00:00:00Z")
BOOT_SCRIPT = Path(card.__file__).with_name("boot.cmd")


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_sfdisk_reads_the_partition_table(board: Board, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(card.CARD_BYTES)
        file.write(card.partition_table(board.disk))
    tool = shutil.which("sfdisk") or "/sbin/sfdisk"
    said = subprocess.run([tool, "--json", image], check=True, capture_output=True, text=True)
    table = json.loads(said.stdout)["partitiontable"]
    assert table["label"] == "dos"
    assert int(table["id"], 16) == board.disk
    found = [
        (each["start"] * 512, each["size"] * 512, each["type"]) for each in table["partitions"]
    ]
    assert found == [(each.start, each.size, f"{each.kind:x}") for each in card.PARTITIONS]
    assert [each.get("bootable", False) for each in table["partitions"]] == [
        True,
        False,
        False,
        False,
    ]


def test_no_two_things_lie_over_each_other() -> None:
    first = card.first_sectors(1, card.manifest(ABOUT, 1 << 20, "f" * 64))
    pieces = [(offset, len(content)) for offset, content in first.items()]
    pieces += [(offset, image_manifest.SIZE) for offset in image_manifest.RECORD_OFFSETS.values()]
    pieces += [(each.start, each.size) for each in card.PARTITIONS]
    pieces.sort()
    for (start, size), (following, _) in pairwise(pieces):
        assert start + size <= following


def test_the_boot_script_has_the_same_places() -> None:
    """In sectors, hexadecimal, as U-Boot counts."""
    sectors = " ".join(f"{offset // 512:x}" for offset in boot_state.STATE_OFFSETS)
    assert BOOT_SCRIPT.read_text().count(f"for copy in {sectors}; do") == 2


def test_boards_have_different_disks() -> None:
    """A card of another board in the same machine must not be taken for ours."""
    assert len({board.disk for board in BOARDS.values()}) == len(BOARDS)


def test_a_new_card_says_what_is_on_it() -> None:
    first = card.first_sectors(1, card.manifest(ABOUT, card.SLOT_A.size, "f" * 64))
    found = image_manifest.parse_manifest(first[image_manifest.OFFSET])
    assert found == image_manifest.Manifest(ABOUT, card.SLOT_A.start, card.SLOT_A.size, "f" * 64)
    for offset in boot_state.STATE_OFFSETS:
        assert boot_state.parse_boot_state(first[offset]) == Slots(Slot.A, TRIES, 0)
