"""The repair of what a power cut leaves of a card's partitions, on files that play them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from board.image import file_systems

PROGRAMS = Path(__file__).parents[3] / "board/image/root/usr/libexec/gadgetip"
SIZE = 8 << 20
BLOCK = 1024
WORDS = b"what somebody stopped"

needs_ext4 = pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="e2fsprogs is missing")
needs_fat = pytest.mark.skipif(shutil.which("mkfs.fat") is None, reason="dosfstools is missing")


def repair(program: str, device: Path, *, first: Path | None = None) -> tuple[int, str]:
    """Run one of the two; returns its exit status and what it said.

    Programs in the folder `first` go before the system's.
    """
    path = os.environ["PATH"] if first is None else f"{first}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", PROGRAMS / program, device],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def state(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "stopped.json").write_bytes(WORDS)
    device = tmp_path / "state.ext4"
    with device.open("wb") as file:
        file.truncate(SIZE)
    command = ["mkfs.ext4", "-q", "-b", str(BLOCK), "-d", str(source), str(device)]
    subprocess.run(command, check=True, capture_output=True)
    return device


def overwrite(device: Path, offset: int, data: bytes) -> None:
    with device.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def kept(device: Path) -> bytes:
    """What is in the file; b"" if it is not there."""
    command = ["debugfs", "-R", "cat /stopped.json", str(device)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def is_whole(device: Path) -> bool:
    command = ["e2fsck", "-f", "-n", str(device)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@needs_ext4
def test_a_state_partition_that_is_well_stays_as_it_is(state: Path) -> None:
    before = state.read_bytes()
    assert repair("repair-state", state) == (0, "")
    assert state.read_bytes() == before


@needs_ext4
def test_what_can_be_repaired_keeps_its_files(state: Path) -> None:
    # The superblock and the group descriptors; their copies begin at block 8193.
    with state.open("r+b") as file:
        file.truncate(SIZE * 2)
    subprocess.run(["resize2fs", state], check=True, capture_output=True)
    overwrite(state, BLOCK, bytes(2 * BLOCK))
    assert not is_whole(state)
    status, said = repair("repair-state", state)
    assert status == 0
    assert "repairing whatever can be repaired" in said
    assert "MADE ANEW" not in said
    assert is_whole(state)
    assert kept(state) == WORDS


@needs_ext4
def test_what_cannot_be_repaired_is_made_anew_and_said(state: Path) -> None:
    overwrite(state, 0, b"\xa5" * SIZE)
    status, said = repair("repair-state", state)
    assert status == 0
    assert "IS MADE ANEW" in said
    assert is_whole(state)
    assert kept(state) == b""


@needs_ext4
def test_what_gives_no_answer_is_left_alone(tmp_path: Path) -> None:
    """It may answer at the next start, with all that is in it."""
    status, said = repair("repair-state", tmp_path / "gone")
    assert status == 1
    assert "CANNOT BE READ" in said
    assert list(tmp_path.iterdir()) == []


@needs_ext4
@pytest.mark.parametrize("status", [8, 16, 32, 128, 127, 137, 139, 143])
def test_a_check_that_did_not_run_to_its_end_destroys_nothing(
    state: Path, tmp_path: Path, status: int
) -> None:
    """No memory, a bad call, killed, a library that is missing: the file system is all right."""
    before = state.read_bytes()
    (tmp_path / "e2fsck").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "e2fsck").chmod(0o755)
    ended, said = repair("repair-state", state, first=tmp_path)
    assert ended == 1
    assert "left as it is" in said
    assert state.read_bytes() == before


@needs_ext4
def test_what_a_newer_system_made_of_it_is_left_alone(state: Path) -> None:
    """After an update was undone, say."""
    incompatible = 1024 + 0x60  # s_feature_incompat; this bit nobody has
    old = state.read_bytes()[incompatible : incompatible + 4]
    overwrite(state, incompatible, (int.from_bytes(old, "little") | 1 << 31).to_bytes(4, "little"))
    before = state.read_bytes()
    ended, said = repair("repair-state", state)
    assert ended == 1
    assert "left as it is" in said
    assert state.read_bytes() == before


def features(device: Path) -> str:
    command = ["dumpe2fs", "-h", str(device)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = ("Filesystem features", "Inode size", "Block size", "Journal size", "Reserved block c")
    return "".join(line for line in text.splitlines(True) if line.startswith(names))


@needs_ext4
def test_the_new_one_is_as_the_image_had_it(tmp_path: Path) -> None:
    device, fresh = tmp_path / "state", tmp_path / "fresh"
    with device.open("wb") as file:
        file.truncate(64 << 20)
    assert repair("repair-state", device)[0] == 0
    file_systems.ext4(fresh, None, 64 << 20, "state", 1_700_000_000, journal=True)
    assert features(device) == features(fresh)


@needs_fat
def test_a_boot_partition_is_cleaned_and_goes_on_in_any_case(tmp_path: Path) -> None:
    device = tmp_path / "boot.fat"
    command = ["mkfs.fat", "-C", "-F", "32", str(device), str(64 << 10)]
    subprocess.run(command, check=True, capture_output=True)
    clean = device.read_bytes()
    assert repair("repair-boot", device) == (0, "")
    overwrite(device, 0x41, b"\x01")  # BS_Reserved1: it was writable when the power went
    status, said = repair("repair-boot", device)
    assert status == 0
    assert "was repaired" in said
    assert device.read_bytes() == clean
    overwrite(device, 0, bytes(1 << 20))
    assert repair("repair-boot", device)[0] == 0
