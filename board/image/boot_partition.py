"""The files of the FAT partition: boot loader, firmware, boot script, and what a person edits."""

import shutil
from pathlib import Path

from board.image.boards import Board
from board.image.boot_script import wrapped
from board.image.debian import Archive

HERE = Path(__file__).parent
SCRIPT = HERE / "boot.cmd"
FOR_PEOPLE = HERE / "boot"


def fill(folder: Path, board: Board, archive: Archive, trees: Path, time: int) -> list[str]:
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
    script = SCRIPT.read_bytes()
    for name, envelope in board.boot_scripts.items():
        (folder / name).write_bytes(wrapped(script, envelope, time))
    return sorted(versions)
