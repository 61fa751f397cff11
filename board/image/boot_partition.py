"""The files of the FAT partition: boot loader, firmware, boot script, and what a person edits."""

import shutil
import subprocess
from pathlib import Path

from board.image.boards import Board
from board.image.debian import Archive

HERE = Path(__file__).parent
SCRIPT = HERE / "boot.cmd"
FOR_PEOPLE = HERE / "boot"


def fill(folder: Path, board: Board, archive: Archive, trees: Path) -> list[str]:
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
    for name, text in board.boot_configuration.items():
        (folder / name).write_text(text)
    for path in sorted(FOR_PEOPLE.iterdir()):
        shutil.copyfile(path, folder / path.name)
    boot_script(folder / "boot.scr")
    return sorted(versions)


def boot_script(target: Path, source: Path = SCRIPT, time: int = 0) -> None:
    """U-Boot's script in the form that it reads."""
    command = ["mkimage", "-A", "arm64", "-O", "linux", "-T", "script", "-C", "none"]
    command += ["-n", "gadgetip", "-d", str(source), str(target)]
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SOURCE_DATE_EPOCH": str(time)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
