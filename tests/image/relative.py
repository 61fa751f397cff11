"""QEMU's model of the next relative of a board: its own processor, its own card controller.

board = power_on(RELATIVES[name], card, directory, kernel=..., tree=...)
board.console.wait_for("Starting kernel", 900)
board.cut()

QEMU has no Zero W and no Zero 2 W. `raspi0` is a Zero without the radio: BCM2835, with an ARM1176;
`raspi3ap` is a 3A+, whose BCM2837 is the Zero 2 W's. None of the firmware is run: QEMU loads what
it is told to, and hands it a device tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.image.card import Card
from tests.image.emulator import Powered

CARD_SIZE = 1 << 30
"""QEMU's card controller takes powers of two only."""


@dataclass(frozen=True, slots=True)
class Relative:
    """QEMU's arguments for a board's relative, and how far the board's card gets in it.

    `boot_loader` says whether the board's own U-Boot comes to starting the kernel: the Zero W's
    stops in this model where it looks for its environment on the card. `linux` says whether the
    image's kernel comes to the first process.
    """

    program: str
    machine: str
    boot_loader: bool = False
    linux: bool = False


RELATIVES = {
    "pi-zero-w": Relative("qemu-system-arm", "raspi0", linux=True),
    "pi-zero-2w": Relative("qemu-system-aarch64", "raspi3ap", boot_loader=True),
}


def power_on(
    relative: Relative,
    card: Card,
    directory: Path,
    *,
    kernel: Path,
    tree: Path,
    more: Sequence[str] = (),
) -> Powered:
    """A relative with this card in it, which it may lengthen; `kernel` is what QEMU starts.

    Both of its serial ports come out on the one console: which of them is whose differs.
    """
    if card.path.stat().st_size < CARD_SIZE:
        with card.path.open("r+b") as file:
            file.truncate(CARD_SIZE)
    command = [relative.program, "-M", relative.machine, "-display", "none", "-monitor", "none"]
    command += ["-chardev", "stdio,id=serial,mux=on,signal=off"]
    command += ["-serial", "chardev:serial"] * 2
    command += ["-drive", f"if=sd,format=raw,file={card.path}"]
    command += ["-kernel", str(kernel), "-dtb", str(tree), *more]
    return Powered(command, directory)
