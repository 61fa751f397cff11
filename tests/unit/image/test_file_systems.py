"""The file systems of an image: twice the same folder, twice the same bytes."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from board.image import file_systems as fs

TIME = 1754697600
SIZE = 34 << 20


def folder(path: Path, names: list[str]) -> Path:
    """The same files, made in this order."""
    (path / "dtb").mkdir(parents=True)
    for name in names:
        (path / name).write_bytes(name.encode() * 3000)
    return path


def ext4(target: Path, source: Path) -> None:
    fs.ext4(target, source, fs.ext4_size(source), "slot toaster", TIME, journal=False)


def state(target: Path, _: Path) -> None:
    fs.ext4(target, None, SIZE, "state toaster", TIME, journal=True)


def fat32(target: Path, source: Path) -> None:
    fs.fat32(target, source, SIZE, "GADGETIP", TIME)


def squashfs(target: Path, source: Path) -> None:
    """Of an archive that differs in nothing: the order is mmdebstrap's affair."""
    archive = target.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        for path in sorted(source.rglob("*")):
            member = tarfile.TarInfo(str(path.relative_to(source)))
            member.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE
            content = b"" if path.is_dir() else path.read_bytes()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    fs.squashfs(target, archive, TIME)


@pytest.mark.parametrize(
    ("make", "tool"),
    [
        (ext4, "/sbin/mke2fs"),
        (state, "/sbin/mke2fs"),
        (fat32, "mcopy"),
        (squashfs, "mksquashfs"),
    ],
)
def test_twice_the_same_bytes(
    make: Callable[[Path, Path], None], tool: str, tmp_path: Path
) -> None:
    """Other moment, other order of making, other umask's modes."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; `make image` does that")
    names = ["vmlinuz", "initrd.img", "dtb/board.dtb", "a name.txt"]
    first = folder(tmp_path / "first", names)
    second = folder(tmp_path / "second", names[::-1])
    for path in second.rglob("*.img"):
        path.chmod(0o600)
    make(tmp_path / "1", first)
    make(tmp_path / "2", second)
    found = (tmp_path / "1").read_bytes()
    assert found == (tmp_path / "2").read_bytes()
    assert len(found) >= 4096
