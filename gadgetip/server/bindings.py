"""What was bound by hand: marks on devices, which outlive the device's absence.

`gadgetip bind` makes a mark (`binding_marks`), and `exports` finds the devices that are meant. A
mark says nothing about drivers: it holds whether or not `serve` runs, and whichever stub that uses.

There are two files, one that is kept, and one for `--once` below /run, which a reboot empties.
Writing is done under a lock: a new file, flushed to the disk, takes the place of the old one, so
that a reader sees the one or the other, and so does whoever looks after a power cut.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.server.binding_marks import Binding, Bindings, binding_for, meant_by
from gadgetip.server.bindings_form import (
    MAX_BINDINGS,
    MAX_FILE_BYTES,
    build_bindings,
    parse_bindings,
)
from gadgetip.service.file_lock import FileLockedError, opened_lock, take_lock

__all__ = [
    "PLACES",
    "Binding",
    "Bindings",
    "Places",
    "add_binding",
    "binding_for",
    "load_bindings",
    "meant_by",
    "remove_binding",
]

LOCK_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where the marks are."""

    kept: Path
    once: Path
    lock: Path


PLACES = Places(
    Path("/var/lib/gadgetip/bindings.json"),
    Path("/run/gadgetip/bindings.json"),
    Path("/run/gadgetip/bindings.lock"),
)


def load_bindings(places: Places | None = None) -> Bindings:
    """Read both files; one that is not there holds none.

    Raises `GadgetipError` for a file that is damaged or cannot be read, and says what to do.
    """
    places = places or PLACES
    return _merged(_read(places.kept, once=False), _read(places.once, once=True))


def add_binding(binding: Binding, places: Places | None = None) -> bool:
    """Make a mark; returns whether anything changed.

    One that is kept is not turned into one for now only, and one that was forced stays forced.
    Raises `PrerequisiteError` without root, `GadgetipError` for a damaged file.
    """
    places = places or PLACES
    with _locked(places):
        kept, once = _read(places.kept, once=False), _read(places.once, once=True)
        old = next((mark for mark in (*kept, *once) if mark.key == binding.key), None)
        new = binding
        if old is not None:
            new = replace(
                binding, once=binding.once and old.once, forced=binding.forced or old.forced
            )
            if new == old:
                return False
        marks = [mark for mark in (*kept, *once) if mark.key != binding.key]
        if len(marks) >= MAX_BINDINGS:
            raise GadgetipError(f"{MAX_BINDINGS} devices are bound: unbind some")
        _write_both(places, (kept, once), (*marks, new))
    return True


def remove_binding(binding: Binding, places: Places | None = None) -> bool:
    """Remove the mark with this one's key from both files; returns whether there was one.

    Raises as `add_binding` does.
    """
    places = places or PLACES
    with _locked(places):
        kept, once = _read(places.kept, once=False), _read(places.once, once=True)
        marks = tuple(mark for mark in (*kept, *once) if mark.key != binding.key)
        if len(marks) == len(kept) + len(once):
            return False
        _write_both(places, (kept, once), marks)
    return True


def _merged(kept: Sequence[Binding], once: Sequence[Binding]) -> Bindings:
    keys = {mark.key for mark in kept}
    return Bindings((*kept, *(mark for mark in once if mark.key not in keys)))


def _write_both(
    places: Places, old: tuple[Sequence[Binding], Sequence[Binding]], marks: Sequence[Binding]
) -> None:
    """Write the files that change; the kept one first, so that no power cut loses a mark."""
    kept, once = old
    new_kept = tuple(mark for mark in marks if not mark.once)
    new_once = tuple(mark for mark in marks if mark.once)
    if new_kept != tuple(kept):
        _write(places.kept, new_kept)
    if new_once != tuple(once):
        _write(places.once, new_once)


def _read(path: Path, *, once: bool) -> tuple[Binding, ...]:
    try:
        # Neither another file behind a link, nor a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _damaged(path, "it is no plain file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unusable(path, error) from None
    finally:
        os.close(descriptor)
    try:
        return parse_bindings(data, once=once)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _write(path: Path, marks: Sequence[Binding]) -> None:
    """Replace the file as a whole; the lock is held, so the name beside it is ours."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(beside, flags, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (it is open already)
            file.write(build_bindings(marks))
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
        _flush_directory(path.parent)
    except OSError as error:
        raise _unusable(path, error) from None


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(places: Places) -> Iterator[None]:
    """Hold the lock that every writer takes; it is waited for, but not for ever."""
    with contextlib.ExitStack() as held:
        try:
            descriptor = held.enter_context(opened_lock(places.lock))
        except OSError as error:
            raise _unusable(places.lock, error) from None
        try:
            take_lock(descriptor, LOCK_LIMIT_S)
        except FileLockedError:
            raise GadgetipError(
                f"{places.lock} is held by another gadgetip for {LOCK_LIMIT_S:g} s: "
                "try again when that is done"
            ) from None
        yield


def _unusable(path: Path, error: OSError) -> GadgetipError:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PrerequisiteError(f"{path}: no permission: run it as root")
    if error.errno == errno.ELOOP:
        return _damaged(path, "it is a symbolic link")
    return GadgetipError(f"{path}: {error.strerror or error}")


def _damaged(path: Path, problem: str) -> GadgetipError:
    return GadgetipError(f"{path}: {problem}: remove it, and bind anew what is to be exported")
