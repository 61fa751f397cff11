"""Debian's Python of other architectures, unpacked into the cache: headers, and a program to run.

apt keeps lists of those architectures in a place of its own, so that this machine's own apt knows
nothing of them and nothing is installed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.machine import packages, places

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURES = ("arm64", "armhf")
PYTHON = "3.11"
WANTED = (
    f"libpython{PYTHON}-dev",
    f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    f"python{PYTHON}-minimal",
    "libc6",
    "libexpat1",
    "libgcc-s1",
    "zlib1g",
)


def obtain(architecture: str) -> Path:
    """The root that has the packages of this architecture, downloaded if it is not there yet."""
    where = places.cache() / "foreign"
    root = where / architecture
    if root.exists():
        return root
    configuration = _configuration(where)
    if not any((where / "lists").glob("*_Packages*")):
        # A list that a mirror has only half of is no reason to stop: the others may have it all.
        with contextlib.suppress(subprocess.CalledProcessError):
            _apt(configuration, "update", "-q")
    archives = _fresh(where / f"{architecture}.archives")
    names = [f"{name}:{architecture}" for name in WANTED]
    _apt(configuration, "download", "-q", "-o", "APT::Sandbox::User=root", *names, cwd=archives)
    unpacked = _fresh(where / f"{architecture}.new")
    for archive in sorted(archives.iterdir()):
        packages.unpack(archive, unpacked)
    shutil.rmtree(archives)
    unpacked.rename(root)
    return root


def headers(root: Path) -> Path:
    """Where Python.h is, which includes its own architecture's pyconfig.h."""
    return root / "usr/include" / f"python{PYTHON}"


def interpreter(root: Path) -> Path:
    """Python itself; runs in emulation, with `root` for its libraries."""
    return root / "usr/bin" / f"python{PYTHON}"


def _configuration(where: Path) -> Path:
    for name in ("lists/partial", "cache/archives/partial"):
        (where / name).mkdir(parents=True, exist_ok=True)
    known = "".join(f'"{each}"; ' for each in ARCHITECTURES)
    file = where / "apt.conf"
    file.write_text(
        f"APT::Architectures {{ {known}}};\n"
        f'Dir::State::Lists "{where}/lists";\n'
        f'Dir::Cache "{where}/cache";\n'
    )
    return file


def _apt(configuration: Path, *arguments: str, cwd: Path | None = None) -> None:
    command = ["env", f"APT_CONFIG={configuration}", "apt-get", *arguments]
    packages.run(command if os.geteuid() == 0 else ["sudo", *command], cwd=cwd)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
