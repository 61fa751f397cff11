"""Making changes to a system, one after the other; what fails does not keep the rest from it.

A file that already is as it should be is not written again: a card lasts longer, and less of it is
being written when the power goes. A file system that is read-only on purpose, a card's FAT, can be
written for as long as something is being written to it, and not longer.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from gadgetip.appliance.changes import (
    Change,
    MakeLink,
    NameHost,
    Overwrite,
    RemoveFile,
    WriteFile,
)

ROOT = Path("/")


def apply_changes(
    changes: Iterable[Change], root: Path = ROOT, *, read_only: Collection[str] = ()
) -> tuple[str, ...]:
    """Make the changes below `root`; returns a line for each one that failed.

    `read_only` are mount points that are written nevertheless.
    """
    failed: list[str] = []
    opened: set[Path] = set()
    for change in changes:
        if isinstance(change, Overwrite) and failed:
            failed.append(f"{change.path}: left as it is, because something failed before")
            continue
        try:
            try:
                _apply(change, root)
            except OSError as error:
                mounted = _mounted_on(change, root, read_only)
                if error.errno != errno.EROFS or mounted is None or mounted in opened:
                    raise
                _remount(mounted, "rw")
                opened.add(mounted)
                _apply(change, root)
        except OSError as error:
            what = change.name if isinstance(change, NameHost) else change.path
            failed.append(f"{what}: {error.strerror or error}")
    for mounted in opened:
        try:
            _remount(mounted, "ro")
        except OSError as error:
            failed.append(f"{mounted}: {error.strerror}")
    return tuple(failed)


def _mounted_on(change: Change, root: Path, places: Collection[str]) -> Path | None:
    """Which of the places a change is in."""
    if isinstance(change, NameHost):
        return None
    path = below(root, change.path)
    return next((each for place in places if path.is_relative_to(each := below(root, place))), None)


def _remount(path: Path, how: str) -> None:
    # Only here: a boot that writes nothing, as almost all do, does without it.
    import subprocess  # noqa: PLC0415

    done = subprocess.run(
        ["mount", "-o", f"remount,{how}", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(errno.EROFS, done.stderr.strip() or "it cannot be mounted anew", str(path))


def _apply(change: Change, root: Path) -> None:
    match change:
        case WriteFile():
            write_file(below(root, change.path), change)
        case RemoveFile():
            path = below(root, change.path)
            # Where nothing can be written, the kernel does not say that there is no such file.
            if path.is_symlink() or path.exists():
                path.unlink()
                _flush_directory(path.parent)
        case MakeLink():
            _make_link(below(root, change.path), change.target)
        case Overwrite():
            _overwrite(root, change)
        case NameHost():
            if root == ROOT:
                socket.sethostname(change.name)


def below(root: Path, path: str) -> Path:
    """An absolute path of the system below `root`."""
    return root / path.lstrip("/")


def write_file(path: Path, change: WriteFile) -> None:
    """Replace a file as a whole, and have it on the disk; raises `OSError`."""
    with contextlib.suppress(OSError):
        if not path.is_symlink() and path.read_bytes() == change.content:
            _set_mode(path, change.mode)
            return
    if not path.parent.is_dir():
        path.parent.mkdir(mode=change.directory_mode, parents=True)
    # FAT has no leading dots to hide behind, and eight characters do anywhere.
    draft = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, change.mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (it is open already)
            _set_mode(draft, change.mode)
            file.write(change.content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        # A full disk, most likely: half a file must not stay to fill it.
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    _flush_directory(path.parent)


def _set_mode(path: Path, mode: int) -> None:
    """FAT has no modes, and says so."""
    if path.stat().st_mode & 0o7777 == mode:
        return
    try:
        path.chmod(mode)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EROFS}:
            raise


def _make_link(path: Path, target: str) -> None:
    with contextlib.suppress(OSError):
        if str(path.readlink()) == target:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    draft.symlink_to(target)
    draft.replace(path)


def _overwrite(root: Path, change: Overwrite) -> None:
    descriptor = os.open(below(root, change.path), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.pread(descriptor, len(change.old), change.offset) != change.old:
            raise OSError("it has changed meanwhile")
        if change.mark:
            write_file(below(root, change.mark), WriteFile(change.mark, b""))
        os.pwrite(descriptor, change.new, change.offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if change.mark:
        _apply(RemoveFile(change.mark), root)


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
