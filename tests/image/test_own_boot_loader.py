"""A Pi's own U-Boot, from the image's own card, in QEMU's model of the next relative of the board.

QEMU has no Raspberry Pi Zero 2 W; `raspi3ap` has its processor (BCM2837), its memory, and its card
behind the same controller. The firmware is not run: QEMU hands U-Boot the device tree that is on
the card's first partition. Shown is that this U-Boot finds the card, does not wait for a key, runs
the script, counts, and loads kernel, initramfs and device tree to addresses that do not meet. Linux
6.12 itself stops in this model, which lacks a register of the power management.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from board.image import card as layout
from board.image.boards import BOARDS
from gadgetip.appliance.boot_state import SECTOR, STATE_OFFSETS, parse_boot_state
from gadgetip.appliance.slots import Slot, Slots
from tests.image import places
from tests.image.artifact import find

LIMIT_S = 900.0
"""QEMU reads a card a few hundred KiB a second; the kernel has 38 MB."""


@dataclass(frozen=True, slots=True)
class OwnBoard:
    """QEMU's arguments for a board's relative, and where its console comes out."""

    program: str
    machine: str
    serial_ports: int


RELATIVES = {"pi-zero-2w": OwnBoard("qemu-system-aarch64", "raspi3ap", 2)}


@pytest.mark.skipif(
    places.board() not in RELATIVES, reason="QEMU has no relative of this board that boots"
)
def test_it_starts_the_kernel_of_slot_a(tmp_path: Path) -> None:
    name = places.board()
    relative = RELATIVES[name]
    card = find(name).unpacked().copy(tmp_path / "card.img").path
    with card.open("r+b") as file:
        file.truncate(1 << 30)  # QEMU takes powers of two only
    files = tmp_path / "boot"
    files.mkdir()
    for wanted in ("u-boot.bin", BOARDS[name].device_trees[0]):
        source = f"{card}@@{layout.BOOT.start}"
        subprocess.run(["mcopy", "-i", source, f"::{wanted}", str(files / wanted)], check=True)
    ports = [tmp_path / f"serial{number}" for number in range(relative.serial_ports)]
    command = [relative.program, "-M", relative.machine, "-display", "none", "-monitor", "none"]
    command += ["-kernel", str(files / "u-boot.bin")]
    command += ["-dtb", str(files / BOARDS[name].device_trees[0])]
    command += ["-drive", f"if=sd,format=raw,file={card}"]
    for port in ports:
        command += ["-serial", f"file:{port}"]
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command]) as machine:
        try:
            console = _wait(machine, ports, "Starting kernel|neither slot boots")
        finally:
            machine.kill()
    assert "Starting kernel" in console, console
    assert "Hit any key" not in console
    disk = f"{BOARDS[name].disk:08x}"
    assert re.search(rf"booting slot A: gadgetip.slot=A gadgetip.disk={disk} ", console), console
    with card.open("rb") as file:
        for offset in STATE_OFFSETS:
            file.seek(offset)
            assert parse_boot_state(file.read(SECTOR)) == Slots(Slot.A, 2, 0)


def _wait(machine: subprocess.Popen[bytes], ports: list[Path], pattern: str) -> str:
    """What the serial ports have said once one of them has said it."""
    limit = time.monotonic() + LIMIT_S
    while True:
        text = "".join(port.read_text(errors="replace") for port in ports if port.exists())
        if re.search(pattern, text):
            return text
        if machine.poll() is not None or time.monotonic() > limit:
            pytest.fail(f"it has not said {pattern!r}:\n{text}")
        time.sleep(0.5)
