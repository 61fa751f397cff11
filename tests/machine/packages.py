"""Debian packages, through apt: found, downloaded, unpacked. Nothing is installed."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from tests.machine.errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path


def ask(*command: str) -> str:
    """What a question to apt is answered with; nothing where apt knows nothing."""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def candidate(package: str) -> str:
    """The version that apt would install."""
    return field(ask("apt-cache", "show", "--no-all-versions", package), "Version")


def field(record: str, name: str) -> str:
    """A field of a package's record."""
    match = re.search(rf"^{name}: (.+)$", record, re.MULTILINE)
    if match is None:
        raise BenchError(f"apt's record has no {name}")
    return match[1]


def update() -> None:
    """Update apt's lists."""
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    run([*as_root, "apt-get", "update", "-q", "-o", "DPkg::Lock::Timeout=300"])


def download(package: str, version: str, directory: Path) -> Path:
    """The package's archive, put into a directory that has none of this package yet."""
    # As whoever runs this: apt's own user may not write here.
    options = ["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"]
    run(["apt-get", "download", *options, f"{package}={version}"], cwd=directory)
    (archive,) = directory.glob(f"{package}_*.deb")
    return archive


def unpack(archive: Path, root: Path) -> None:
    """Put the files of an archive below a directory."""
    run(["dpkg-deb", "-x", str(archive), str(root)])


def run(command: list[str], cwd: Path | None = None) -> None:
    """Run a command, showing what it says; raises CalledProcessError."""
    # depmod is in /usr/sbin, which is not on every user's path.
    environment = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    subprocess.run(command, check=True, cwd=cwd, env=environment, stdin=subprocess.DEVNULL)
