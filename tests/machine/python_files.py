"""Python's own files and the checkout's, in the guest's memory instead of behind its root.

The guest reads its root through 9p, which costs it a hundredth of a second a file and caches
nothing: starting a program of a few hundred modules takes it half a minute. One archive is read in
one piece. So Python's library, the packages that the tests use and the checkout are packed outside,
unpacked in the guest into memory, and mounted over their own places. What is not packed, is found
where it always was.

The checkout is packed anew for each command, so that a machine that stays up sees every edit.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import tarfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import places

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = "python.tar"
CHECKOUT = "checkout.tar"
INSIDE = Path("/run/gadgetip-bench/files")

PROJECT = ("gadgetip", "tests", "configfs_profiles")
DISTRIBUTIONS = ("gadgetip", "pytest", "pyusb")
"""What the tests inside import, with what that requires."""

NOT_NEEDED = {
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"),
    *("site-packages", "dist-packages", "distutils", "msilib", "curses", "dbm", "wsgiref"),
    *("sqlite3", "xmlrpc", "multiprocessing", "venv", "__phello__"),
}
"""Of Python's own library."""

NOT_NEEDED_SUFFIXES = (".opt-1.pyc", ".opt-2.pyc", ".a", ".exe", ".pyi", ".h", ".rst")
BLOCKS = 1000  # of 512 bytes: one request through 9p


def libraries() -> list[Path]:
    """The places that do not change while a machine is up."""
    return [Path(sys.executable).resolve(), _library(), _packages()]


def checkout() -> list[Path]:
    """The places that do."""
    return [places.CHECKOUT / name for name in PROJECT]


def pack(archive: Path, where: list[Path]) -> None:
    """Write the files of these places into an archive, by their absolute names."""
    with tarfile.open(archive, "w") as tar:
        for place in where:
            for path in _files(place):
                tar.add(path, arcname=str(path.relative_to("/")), recursive=False)


def unpacking(archive: Path, where: list[Path]) -> str:
    """A line for the guest's shell that unpacks an archive and mounts it over these places."""
    steps = [f"mkdir -p {INSIDE}", f"tar -b {BLOCKS} -xf {archive} -C {INSIDE}"]
    for place in where:
        inside = INSIDE / place.relative_to("/")
        steps.append(f"(mountpoint -q {place} || mount --bind {inside} {place})")
    return " && ".join(steps)


def _files(place: Path) -> Iterator[Path]:
    if place == _packages():
        yield from _distribution_files()
    elif place.is_file():
        yield place
    else:
        yield place
        for path in sorted(place.iterdir()):
            if path.name in NOT_NEEDED and place == _library():
                continue
            if path.name.startswith("config-") or path.name.endswith(NOT_NEEDED_SUFFIXES):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from _files(path)
            else:
                yield path


def _library() -> Path:
    return Path(sysconfig.get_path("stdlib")).resolve()


def _packages() -> Path:
    return Path(sysconfig.get_path("purelib")).resolve()


def _distribution_files() -> Iterator[Path]:
    """The files of the distributions that are needed, as their own records list them."""
    awaited, known = list(DISTRIBUTIONS), set()
    while awaited:
        name = awaited.pop()
        if name in known:
            continue
        known.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # required on other systems only
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file))).resolve()
            if path.is_relative_to(_packages()) and path.is_file():
                yield path
        awaited += [
            found[0]
            for requirement in distribution.requires or ()
            if "extra ==" not in requirement and (found := _NAME.match(requirement))
        ]


_NAME = re.compile(r"[A-Za-z0-9._-]+")
