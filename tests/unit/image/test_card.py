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
from gadgetip.appliance.slots import Slot, Slots


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
    pieces = [(0, 512), *((sector * 512, 512) for sector in card.BOOT_STATE_SECTORS)]
    pieces += [(card.MANIFEST_SECTOR * 512, card.MANIFEST_BYTES)]
    pieces += [(sector * 512, card.MANIFEST_BYTES) for sector in card.RECORD_SECTORS]
    pieces += [(each.start, each.size) for each in card.PARTITIONS]
    pieces.sort()
    for (start, size), (following, _) in pairwise(pieces):
        assert start + size <= following


def test_what_updates_a_board_knows_the_same_places() -> None:
    """The program does not import the builder, which is not installed with it."""
    assert tuple(offset // 512 for offset in boot_state.STATE_OFFSETS) == card.BOOT_STATE_SECTORS
    assert image_manifest.OFFSET == card.MANIFEST_SECTOR * 512
    assert image_manifest.SIZE == card.MANIFEST_BYTES
    records = image_manifest.RECORD_OFFSETS
    assert tuple(records[slot] // 512 for slot in Slot) == card.RECORD_SECTORS
    assert boot_state.parse_boot_state(card.boot_state_sector()) == Slots()


def test_boards_have_different_disks() -> None:
    """A card of another board in the same machine must not be taken for ours."""
    assert len({board.disk for board in BOARDS.values()}) == len(BOARDS)


def test_the_manifest_fits_its_place() -> None:
    name = max(BOARDS, key=len)
    data = card.manifest(name, "0.1.0", "2026-11-30T00:00:00Z", card.SLOT_A.size, "f" * 64)
    assert len(data) == card.MANIFEST_BYTES
    assert json.loads(data.rstrip(b"\0"))["slot"]["size"] == card.SLOT_A.size
