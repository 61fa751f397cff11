"""What ends the trial of a system whose `gadgetip` does not start, on files that play the card."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gadgetip.appliance.boot_state import (
    SECTOR,
    STATE_OFFSETS,
    choose_boot_state,
    format_boot_state,
)
from gadgetip.appliance.slots import Slot, Slots

PROGRAM = Path(__file__).parents[3] / "board/image/root/usr/libexec/gadgetip/end-trial"
SYSTEMCTL = """#!/bin/sh
[ "$1" = is-failed ] && exit "$FAKE_FAILED"
echo "asked: $*"
"""


class Card:
    """A disk with a boot state, and the partition of the other slot."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "systemctl").write_text(SYSTEMCTL)
        (directory / "systemctl").chmod(0o755)

    def end_trial(
        self,
        slot: Slot,
        state: bytes,
        other: Path,
        *,
        second: bytes = bytes(SECTOR),
        failed: bool = True,
    ) -> str:
        disk = self.directory / "disk"
        between = bytes(STATE_OFFSETS[1] - STATE_OFFSETS[0] - SECTOR)
        disk.write_bytes(bytes(STATE_OFFSETS[0]) + state + between + second)
        done = subprocess.run(
            ["sh", PROGRAM, slot, disk, other],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ
            | {
                "PATH": f"{self.directory}{os.pathsep}{os.environ['PATH']}",
                "FAKE_FAILED": "0" if failed else "1",
            },
        )
        assert done.stderr == ""
        return done.stdout

    def system(self) -> Path:
        path = self.directory / "system"
        with path.open("wb") as file:
            file.truncate(1 << 20)
        mke2fs = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if mke2fs is None:
            pytest.skip("e2fsprogs is missing")
        subprocess.run([mke2fs, "-q", "-t", "ext4", "-O", "^has_journal", path], check=True)
        return path

    def nothing(self) -> Path:
        path = self.directory / "nothing"
        path.write_bytes(bytes(1 << 20))
        return path


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


@pytest.mark.parametrize("slot", Slot)
@pytest.mark.parametrize("left", [0, 1, 2, 3, 8])
def test_a_trial_with_something_to_go_back_to(card: Card, slot: Slot, left: int) -> None:
    state = format_boot_state(Slots(slot, 3, 3).having(slot, left))
    said = card.end_trial(slot, state, card.system())
    assert said.endswith("restarting\nasked: reboot\n")


@pytest.mark.parametrize("slot", Slot)
def test_a_system_that_was_well(card: Card, slot: Slot) -> None:
    state = format_boot_state(Slots(slot, 0, 0).having(slot, 9))
    assert card.end_trial(slot, state, card.system()).endswith("it stays\n")


def test_the_only_system(card: Card) -> None:
    state = format_boot_state(Slots(Slot.A, 2, 0))
    assert card.end_trial(Slot.A, state, card.nothing()).endswith("this one stays\n")
    assert card.end_trial(Slot.A, state, Path("/nowhere")).endswith("this one stays\n")


def test_one_that_is_on_its_way_up_again(card: Card) -> None:
    state = format_boot_state(Slots(Slot.A, 2, 3))
    assert card.end_trial(Slot.A, state, card.system(), failed=False) == ""


def test_a_state_as_uboot_writes_it(card: Card) -> None:
    state = b"BOOT_A_LEFT=2\nBOOT_B_LEFT=9\nBOOT_ORDER=A B\n".ljust(512, b"\0")
    assert "restarting" in card.end_trial(Slot.A, state, card.system())
    assert "it stays" in card.end_trial(Slot.B, state, card.system())


WELL = format_boot_state(Slots(Slot.A, 9, 3))
ON_TRIAL = format_boot_state(Slots(Slot.A, 2, 3))


@pytest.mark.parametrize(
    "first",
    [
        bytes(SECTOR),
        b"\xff" * SECTOR,
        b"\xa5\0\n" * 170 + b"\n\n",
        WELL.replace(b"A B", b"A A"),
        WELL.replace(b"BOOT_B_LEFT=3", b"BOOT_B_LEFT=x"),
        WELL.replace(b"BOOT_A_LEFT=9", b"BOOT_A_LEFT=99").ljust(SECTOR, b"\0")[:SECTOR],
        ON_TRIAL.replace(b"BOOT_A_LEFT=2", b"BOOT_A_LEFT=\xe4"),
        b"BOOT_A_LEFT=2\n\0" + WELL[15:],
    ],
)
def test_a_first_copy_that_makes_no_sense(card: Card, first: bytes) -> None:
    """The second one counts, as for U-Boot and for the program itself."""
    other = card.system()
    for second, end in ((WELL, "it stays\n"), (ON_TRIAL, "asked: reboot\n")):
        assert format_boot_state(choose_boot_state([first, second])) == second
        assert card.end_trial(Slot.A, first, other, second=second).endswith(end)


def test_a_first_copy_that_makes_sense_goes_before_the_second(card: Card) -> None:
    other = card.system()
    assert "it stays" in card.end_trial(Slot.A, WELL, other, second=ON_TRIAL)
    assert "restarting" in card.end_trial(Slot.A, ON_TRIAL, other, second=WELL)
    assert "restarting" in card.end_trial(Slot.A, bytes(SECTOR), other)
