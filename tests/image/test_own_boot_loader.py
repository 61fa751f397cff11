"""A Pi's own U-Boot, from the image's own card, in QEMU's model of the next relative of the board.

The firmware is not run: QEMU hands U-Boot the device tree that is on the card's first partition.
Shown is that this U-Boot finds the card, does not wait for a key, runs the script, counts, and
loads kernel, initramfs and device tree to addresses that do not meet. Linux 6.12 itself stops in
the relative of the Zero 2 W, which lacks a register of the power management.
"""

import re
from pathlib import Path

import pytest

from board.image.boards import BOARDS
from gadgetip.appliance.slots import Slot, Slots
from tests.image import places
from tests.image.artifact import find
from tests.image.card import Card
from tests.image.relative import RELATIVES, power_on

LIMIT_S = 900.0
"""QEMU reads a card a few hundred KiB a second; the kernel has 38 MB."""


@pytest.mark.skipif(
    places.board() not in {name for name, each in RELATIVES.items() if each.boot_loader},
    reason="QEMU has no relative of this board in which its boot loader gets to the kernel",
)
def test_it_starts_the_kernel_of_slot_a(tmp_path: Path) -> None:
    name = places.board()
    card = find(name).unpacked().copy(tmp_path / "card.img")
    u_boot = _file(card, "u-boot.bin", tmp_path)
    tree = _file(card, BOARDS[name].device_trees[0], tmp_path)
    board = power_on(RELATIVES[name], card, tmp_path, kernel=u_boot, tree=tree)
    try:
        board.console.wait_for("Starting kernel|neither slot boots", LIMIT_S)
    finally:
        board.cut()
    console = board.console.text
    assert "Starting kernel" in console, console
    assert "Hit any key" not in console
    disk = f"{BOARDS[name].disk:08x}"
    assert re.search(rf"booting slot A: gadgetip.slot=A gadgetip.disk={disk} ", console), console
    for copy in (0, 1):
        assert card.boot_state(copy) == Slots(Slot.A, 2, 0)


def _file(card: Card, name: str, directory: Path) -> Path:
    """A file of the card's first partition, beside it."""
    content = card.get(name)
    assert content is not None, name
    path = directory / name
    path.write_bytes(content)
    return path
