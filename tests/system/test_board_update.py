"""An update onto a block device with partitions: a loop device that plays the card."""

import hashlib
import json
import random
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from board.image import card as layout
from gadgetip.appliance.card_here import card_here
from gadgetip.appliance.image_manifest import About, Manifest, format_about
from gadgetip.cli import board_update
from tests.unit.cli.running import Command

MIB = layout.MIB
DISK = 0x67697031
PARTITIONS = (
    layout.Partition(layout.FAT32_LBA, 4 * MIB, MIB, active=True),
    layout.Partition(layout.LINUX, 5 * MIB, 4 * MIB),
    layout.Partition(layout.LINUX, 9 * MIB, 4 * MIB),
    layout.Partition(layout.LINUX, 13 * MIB, MIB),
)
BUILT = "2026-11-30T00:00:00Z"
NEW = random.Random(2).randbytes(3 * MIB)


def image(path: Path, content: bytes, version: str) -> Path:
    """An image as the builder writes one, with its partitions at other places."""
    about = About("pi-zero-w", version, BUILT)
    digest = hashlib.sha256(content).hexdigest()
    manifest = Manifest(about, PARTITIONS[1].start, len(content), digest)
    with path.open("wb") as file:
        file.truncate(14 * MIB)
        for offset, data in layout.first_sectors(DISK, manifest, PARTITIONS).items():
            file.seek(offset)
            file.write(data)
        file.seek(PARTITIONS[1].start)
        file.write(content)
    return path


def attached(path: Path) -> str:
    """A loop device with this file's partitions."""
    done = subprocess.run(
        ["losetup", "--find", "--partscan", "--show", path],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The card, from which this system is said to have booted."""
    subprocess.run(["modprobe", "loop"], check=True)
    device = attached(image(tmp_path / "card", random.Random(1).randbytes(MIB), "0.1.0"))
    arguments = tmp_path / "cmdline"
    arguments.write_text(f"quiet gadgetip.slot=A gadgetip.disk={DISK:08x}\n")
    marker = tmp_path / "marker"
    marker.write_text(format_about(About("pi-zero-w", "0.1.0", BUILT), wireless=True))
    monkeypatch.setattr(board_update, "IMAGE_FILE", marker)
    monkeypatch.setattr(board_update, "card_here", partial(card_here, arguments=arguments))
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def gadgetip(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def slots(gadgetip: Command) -> dict[str, object]:
    found = json.loads(gadgetip("board", "slots", "--json").out)
    assert isinstance(found, dict)
    return found


def test_an_update_and_back(disk: str, gadgetip: Command, tmp_path: Path) -> None:
    assert slots(gadgetip)["next"] == "A"
    run = gadgetip("board", "update", str(image(tmp_path / "new", NEW, "0.2.0")))
    assert (run.status, run.err) == (0, "")
    assert Path(f"{disk}p3").read_bytes()[: len(NEW)] == NEW
    assert slots(gadgetip)["next"] == "B"
    card = (tmp_path / "card").read_bytes()  # what is on the medium
    assert card[9 * MIB :][: len(NEW)] == NEW
    assert card[64 * 512 :].startswith(b"BOOT_ORDER=B A\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n\0")
    assert card[72 * 512 :][:512] == card[64 * 512 :][:512]


def test_a_slot_that_is_mounted_is_left_alone(disk: str, gadgetip: Command, tmp_path: Path) -> None:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", f"{disk}p3"], check=True)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    subprocess.run(["mount", f"{disk}p3", mounted], check=True)
    before = slots(gadgetip)
    try:
        run = gadgetip("board", "update", str(image(tmp_path / "new", NEW, "0.2.0")))
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert (run.status, run.err) == (
        1,
        "gadgetip: slot B is in use: is another update going on?\n",
    )
    assert slots(gadgetip) == before


def test_two_cards_of_the_same_image(disk: str, gadgetip: Command, tmp_path: Path) -> None:
    second = attached(image(tmp_path / "second", NEW, "0.2.0"))
    try:
        run = gadgetip("board", "slots")
    finally:
        subprocess.run(["losetup", "--detach", second], check=True)
    assert (run.status, "take one out" in run.err) == (6, True)
    assert slots(gadgetip)["running"] == "A"
