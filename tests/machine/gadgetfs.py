"""Builds the module of board/dkms for the bench's kernel, beside the kernel in the cache.

In the guest `modprobe gadgetip_gadgetfs` loads it, and `modprobe gadgetfs` the stock one, as on a
board where it is installed: it lies in lib/modules/RELEASE/extra, and the index knows it.

The kernel's headers are unpacked into a temporary directory and forgotten. Their Makefile names
/usr/src, the one path that has to be told where they are. Of the kernel's source one file is kept,
in the cache; its package is large, and is downloaded once for each kernel.

The files of board/dkms are the recipe. Its digest lies beside the module: a second run only looks,
and a changed recipe is built anew.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import kernel, packages, places
from tests.machine.errors import BenchError

if TYPE_CHECKING:
    from tests.machine.kernel import Kernel

MODULE = "gadgetip_gadgetfs"
RECIPE = places.CHECKOUT / "board" / "dkms"
INGREDIENTS = ("Kbuild", "Makefile", "fetch-source", "gadgetip_gadgetfs.c")
SOURCE_FILE = "drivers/usb/gadget/legacy/inode.c"

_RELEASE = re.compile(r"((\d+\.\d+)\S*)-(amd64)")


def obtain(machine: Kernel) -> Path:
    """The module for this kernel, built if there is none yet; raises BenchError."""
    module = installed(machine)
    stamp = module.with_suffix(".recipe")
    wanted = digest()
    if module.exists() and stamp.exists() and stamp.read_text().strip() == wanted:
        print(f"gadgetfs: {module.name} for Linux {machine.release} (cached)")
        return module
    print(f"gadgetfs: building {module.name} for Linux {machine.release}", flush=True)
    try:
        _build(machine, module)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"{module.name} cannot be built: {error}") from error
    kernel.index(machine.root, machine.release)
    stamp.write_text(wanted + "\n")
    return module


def installed(machine: Kernel) -> Path:
    """Where the module lies when it is built."""
    return machine.root / "lib/modules" / machine.release / "extra" / f"{MODULE}.ko"


def digest() -> str:
    """What tells one state of the recipe from another."""
    summed = hashlib.sha256()
    for name in INGREDIENTS:
        summed.update((RECIPE / name).read_bytes())
    return summed.hexdigest()


def names(release: str) -> tuple[list[str], str]:
    """The packages that hold the headers of a kernel, and the one that holds its source."""
    match = _RELEASE.fullmatch(release)
    if match is None:
        raise BenchError(f"Linux {release} is not a Debian kernel: its headers cannot be named")
    base, series, flavour = match.groups()
    headers = [f"linux-headers-{base}-{flavour}", f"linux-headers-{base}-common"]
    # Up to Debian 12's 6.1.0-57 one package of tools serves a whole series.
    tools = f"linux-kbuild-{base if '+' in base else series}"
    return [*headers, tools], f"linux-source-{series}"


def redirect(makefile: str, root: Path) -> str:
    """The Makefile of Debian's headers, for headers that lie below a directory instead of /."""
    return re.sub(r"(?m)^include /usr/src/", f"include {root}/usr/src/", makefile)


def _build(machine: Kernel, module: Path) -> None:
    headers, source_package = names(machine.release)
    with tempfile.TemporaryDirectory(prefix="gadgetip-gadgetfs-") as scratch:
        directory = Path(scratch)
        source = _source(machine, source_package, directory)
        root = directory / "headers"
        for package in headers:
            archive = packages.download(package, _version(machine, package), directory)
            packages.unpack(archive, root)
        tree = root / "usr/src" / headers[0]
        makefile = tree / "Makefile"
        makefile.write_text(redirect(makefile.read_text(), root))
        # Type information for tracing would need pahole, and is of no use here.
        (tree / "vmlinux").unlink(missing_ok=True)
        build = directory / "build"
        variables = [f"KDIR={tree}", f"BUILD={build}", f"SOURCE={source}"]
        packages.run(["make", "--silent", "-C", str(RECIPE), *variables])
        module.parent.mkdir(exist_ok=True)
        fresh = module.with_suffix(".new")
        fresh.write_bytes((build / module.name).read_bytes())
        fresh.replace(module)


def _source(machine: Kernel, package: str, directory: Path) -> Path:
    """The kernel's inode.c, out of the cache or out of its package."""
    kept = machine.root / "source" / "inode.c"
    if kept.exists():
        return kept
    version = _version(machine, package)
    print(f"gadgetfs: downloading {package} {version}, for one file in it", flush=True)
    archive = packages.download(package, version, directory)
    # One file is taken out of an archive in an archive; neither is ever unpacked.
    script = (
        'dpkg-deb --fsys-tarfile "$1" | tar -x --to-stdout "./usr/src/$2.tar.xz"'
        ' | tar -xJ --to-stdout --occurrence=1 "$2/$3"'
    )
    command = ["sh", "-c", script, "sh", str(archive), package, SOURCE_FILE]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    archive.unlink()
    kept.parent.mkdir(exist_ok=True)
    fresh = kept.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(kept)
    return kept


def _version(machine: Kernel, package: str) -> str:
    """The kernel's own version of a package, where the kernel lies under its version's name."""
    own = machine.root.name
    known = packages.ask("apt-cache", "madison", package)
    return own if f" {own} " in known else packages.candidate(package)
