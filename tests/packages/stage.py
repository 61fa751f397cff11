"""What a system is given: the packages, one of a higher version, a device's descriptors."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

from tests.machine.places import CHECKOUT
from tests.packages.report import PackageError
from tests.packages.target import native_architecture

if TYPE_CHECKING:
    from pathlib import Path

BUILT = CHECKOUT / "build" / "deb"
DKMS_PACKAGE = "gadgetip-gadgetfs-dkms"
HIGHER = "+higher1"
"""What is added to the version of the package that an upgrade is tried with."""

DESCRIPTORS = "stick.bin"
# A stick as USB 2.0 §9.6 and the Bulk-Only Transport §4 have it: device, configuration, interface,
# bulk IN, bulk OUT.
STICK = (
    struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0, 0, 0, 64, 0x46F4, 0x0001, 0x0100, 0, 0, 0, 1)
    + struct.pack("<BBHBBBBB", 9, 2, 32, 1, 1, 0, 0x80, 50)
    + struct.pack("<9B", 9, 4, 0, 0, 2, 8, 6, 0x50, 0)
    + struct.pack("<BBBBHB", 7, 5, 0x81, 2, 512, 0)
    + struct.pack("<BBBBHB", 7, 5, 0x02, 2, 512, 0)
)


def package(name: str, arch: str) -> Path:
    """The file that `make deb` made."""
    found = sorted(BUILT.glob(f"{name}_*_{arch}.deb"))
    if len(found) != 1:
        raise PackageError(f"{BUILT} has {len(found)} {name}_*_{arch}.deb instead of one: make deb")
    return found[0]


def fill(directory: Path, arch: str) -> None:
    """Put everything for one architecture there: gadgetip.deb, higher.deb, dkms.deb, stick.bin."""
    shutil.copy(package("gadgetip", arch), directory / "gadgetip.deb")
    if arch == native_architecture():  # else no kernel is built for
        shutil.copy(package(DKMS_PACKAGE, "all"), directory / "dkms.deb")
    (directory / DESCRIPTORS).write_bytes(STICK)
    raised(directory / "gadgetip.deb", directory / "higher.deb")


def raised(deb: Path, target: Path) -> None:
    """The same package under a higher version."""
    tree = target.with_suffix(".tree")
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text(
        "".join(f"{line}{HIGHER if line.startswith('Version: ') else ''}\n" for line in lines)
    )
    subprocess.run(["dpkg-deb", "--build", str(tree), str(target)], check=True, capture_output=True)
    shutil.rmtree(tree)
