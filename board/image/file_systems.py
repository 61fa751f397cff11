"""File systems made out of folders, by their own tools and without mounting: slot, FAT, state.

Those tools fill in the time, random identifiers, and the inode's change time, which nobody can set
in a folder; all of that is fixed here. `E2FSPROGS_FAKE_TIME` is what mke2fs calls its own clock.
"""

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from board.image.card import MIB
from gadgetip.appliance.boot_state import SECTOR

NAMESPACE = uuid.UUID("3f2e4cc8-8a57-4c0b-9c3c-0b9f3e6a4d11")
"""Identifiers of file systems are made in it, of their names: one of a random kind would differ."""

FEATURES = "^metadata_csum,^64bit,^orphan_file,^huge_file"
SLACK = 2 * MIB


def ext4(
    target: Path, folder: Path | None, size: int, name: str, time: int, *, journal: bool
) -> None:
    """An ext4 of `size` bytes with the folder's files, which all belong to root."""
    if folder is not None:
        make_uniform(folder, time)
    identifier = str(uuid.uuid5(NAMESPACE, name))
    target.unlink(missing_ok=True)
    environment = os.environ | {"E2FSPROGS_FAKE_TIME": str(time), "SOURCE_DATE_EPOCH": str(time)}
    command = ["/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-I", "128", "-m", "0"]
    command += ["-O", FEATURES + ("" if journal else ",^has_journal"), "-U", identifier]
    command += ["-E", f"hash_seed={identifier},root_owner=0:0,lazy_itable_init=0,nodiscard"]
    command += ["-d", str(folder)] if folder else []
    command += [str(target), f"{size // 1024}k"]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    if folder is not None:
        _fix_times(target, folder, time, environment)


def make_uniform(folder: Path, time: int) -> None:
    """Give what is in it modes and times that no umask and no checkout had a part in."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (time, time), follow_symlinks=False)


def ext4_size(folder: Path) -> int:
    """A size into which the folder's files fit, in bytes: with tables, rounded up to a MiB."""
    content = sum(path.stat().st_size + 4096 for path in folder.rglob("*"))
    return -(-(content + content // 64 + SLACK) // MIB) * MIB


def _fix_times(target: Path, folder: Path, time: int, environment: dict[str, str]) -> None:
    names = ["/", *(f"/{path.relative_to(folder)}" for path in sorted(folder.rglob("*")))]
    orders = "".join(
        f'set_inode_field "{name}" {field} {value}\n'
        for name in names
        for field, value in (
            ("atime", f"@{time}"),
            ("ctime", f"@{time}"),
            ("mtime", f"@{time}"),
            ("uid", 0),
            ("gid", 0),
        )
    )
    command = ["/sbin/debugfs", "-w", "-f", "-", str(target)]
    subprocess.run(command, input=orders.encode(), check=True, env=environment, capture_output=True)


def fat32(target: Path, folder: Path, size: int, name: str, time: int) -> None:
    """A FAT32 of `size` bytes with the folder's files, whose label is the name."""
    target.unlink(missing_ok=True)
    volume = f"{uuid.uuid5(NAMESPACE, name).int & 0xFFFFFFFF:08x}"
    with target.open("wb") as file:
        file.truncate(size)
    command = ["/sbin/mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-S", str(SECTOR)]
    subprocess.run([*command, "-i", volume, "-n", name, target], check=True, capture_output=True)
    environment = os.environ | {
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(time),
        "MTOOLS_SKIP_CHECK": "1",
    }
    make_uniform(folder, time)
    # One by one, in a fixed order: a directory's own is that of this machine's file system.
    for path in sorted(folder.iterdir()):
        command = ["mcopy", "-i", str(target), "-s", "-m", "-o", "-Q", str(path), "::/"]
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


def squashfs(target: Path, tar: Path, time: int) -> None:
    """A squashfs of a tar archive."""
    target.unlink(missing_ok=True)
    # The root directory is not in the archive: its time is now, or this one.
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(time)}
    with tar.open("rb") as source:
        command = [
            "mksquashfs",
            "-",
            str(target),
            "-tar",
            "-quiet",
            "-no-progress",
            "-reproducible",
        ]
        command += ["-comp", "zstd", "-Xcompression-level", "19", "-b", "256K"]
        command += ["-root-mode", "0755", "-no-exports", "-no-xattrs", "-exit-on-error"]
        subprocess.run(
            command, check=True, stdin=source, env=environment, stdout=subprocess.DEVNULL
        )


def copy_sparsely(source: Path, target: Path, offset: int) -> None:
    """Write a file into another at an offset in bytes, leaving holes where it has zeros."""
    zeros = bytes(4096)
    with source.open("rb") as reading, target.open("r+b") as writing:
        writing.seek(offset)
        while block := reading.read(len(zeros)):
            if block == zeros[: len(block)]:
                writing.seek(len(block), os.SEEK_CUR)
            else:
                writing.write(block)


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
