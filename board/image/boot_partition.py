"""The files of the FAT partition: boot loader, firmware, boot script, and what a person edits."""

import shutil
import subprocess
from pathlib import Path

from board.image.boards import Board
from board.image.boot_script import wrapped
from board.image.debian import Archive

HERE = Path(__file__).parent
SCRIPT = HERE / "boot.cmd"
FOR_PEOPLE = HERE / "boot"

BOOT_COMMAND = (
    "setenv devtype mmc; setenv devnum 0; setenv distro_bootpart 1; "
    "load mmc 0:1 ${scriptaddr} boot.scr && source ${scriptaddr}; bootflow scan"
)
"""What U-Boot does at once, instead of waiting for a key and looking for EFI."""


def fill(folder: Path, board: Board, archive: Archive, trees: Path, time: int) -> set[str]:
    """Put all of them into the folder; `trees` has the kernel's device trees.

    Returns the versions of the packages that they come from, as NAME=VERSION.
    """
    versions: set[str] = set()
    for source in board.boot_files:
        version, root = archive.unpacked(source.package)
        versions.add(version)
        shutil.copyfile(root / source.path, folder / source.name)
    if board.boot_configuration:
        # What a Raspberry Pi's firmware hands to U-Boot, and U-Boot to the kernel.
        for name in board.device_trees:
            shutil.copyfile(trees / name, folder / name)
            _tell_u_boot(folder / name)
    for name, text in board.boot_configuration.items():
        (folder / name).write_text(text)
    for path in sorted(FOR_PEOPLE.iterdir()):
        shutil.copyfile(path, folder / path.name)
    script = SCRIPT.read_bytes()
    for name, envelope in board.boot_scripts.items():
        (folder / name).write_bytes(wrapped(script, envelope, time))
    return versions


def _tell_u_boot(tree: Path) -> None:
    """Put U-Boot's own settings into the device tree that it takes from a Pi's firmware.

    doc/develop/devicetree/control.rst has them. A bootdelay of -2 means that no key is waited for:
    a stray byte on the serial port must not keep a board at a prompt, nor be a way in.
    """
    for arguments in (
        ["-c", str(tree), "/config"],
        ["-t", "x", str(tree), "/config", "bootdelay", f"{-2 & 0xFFFFFFFF:x}"],
        ["-t", "s", str(tree), "/config", "bootcmd", BOOT_COMMAND],
    ):
        subprocess.run(["fdtput", *arguments], check=True)
