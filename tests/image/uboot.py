"""Debian trixie's U-Boot for QEMU, of the version that the images have, unpacked, not installed."""

import os
from pathlib import Path

from board.image.debian import Archive, BuildError
from tests.machine import places
from tests.machine.errors import BenchError

PACKAGE = "u-boot-qemu"
ARCHITECTURE = "arm64"  # the package is for all of them


def firmware(machine: str) -> Path:
    """U-Boot for `qemu_arm64` or `qemu_arm`; $GADGETIP_UBOOT is a directory that has both."""
    override = os.environ.get("GADGETIP_UBOOT")
    directory = Path(override) if override else _unpacked() / "usr/lib/u-boot"
    path = directory / machine / "u-boot.bin"
    if not path.exists():
        raise BenchError(f"{path} is not there")
    return path


def _unpacked() -> Path:
    archive = Archive(ARCHITECTURE, places.cache() / "image" / "apt" / ARCHITECTURE)
    try:
        return archive.unpacked(PACKAGE)[1]
    except BuildError:
        archive.update()
        return archive.unpacked(PACKAGE)[1]
