"""Finds Debian's kernel package, downloads it, and unpacks it into the cache. Installs nothing.

The tests need the drivers of Linux 6.12 or later as modules: the distribution's own kernel where
that is new enough, else the newest `linux-image-6.12.N+debNN-amd64` that apt knows. The flavours
`cloud` and `rt` lack drivers or behave differently; `-unsigned` and `-dbg` are not for booting.

A kernel is unpacked beside the cache and renamed into it when complete: what is in the cache is
whole. `GADGETIP_KERNEL` names another unpacked kernel (a directory with boot/ and lib/modules/), or
another series of Debian's, "6.1", of which the newest that apt knows is taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import packages, places
from tests.machine.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

SERIES = (6, 12)
METAPACKAGE = "linux-image-amd64"

# Up to Debian 12 a kernel is named 6.1.0-57 after its interface to modules, whose number grows.
_NAME = re.compile(r"linux-image-(\d+(?:\.\d+)+)(?:\+deb\d+(?:\.\d+)?)?(?:-(\d+))?-amd64")
_SERIES = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel."""

    root: Path
    release: str

    @property
    def image(self) -> Path:
        """The file that boots."""
        return self.root / "boot" / f"vmlinuz-{self.release}"


def number(package: str) -> tuple[int, ...] | None:
    """The kernel's number in a package name; None for any other package and other flavours."""
    match = _NAME.fullmatch(package)
    if match is None:
        return None
    interface = (int(match[2]),) if match[2] else ()
    return tuple(int(part) for part in match[1].split(".")) + interface


def choose(known: Iterable[str], own: str | None) -> str | None:
    """The package to boot, out of all names apt knows and the one the distribution stands for."""
    own_number = number(own) if own else None
    if own_number is not None and own_number >= SERIES:
        return own
    return newest_of(SERIES, known)


def newest_of(series: tuple[int, int], known: Iterable[str]) -> str | None:
    """The newest package of one series; the package named after the series itself is none."""
    numbered = [(found, name) for name in known if (found := number(name)) is not None]
    fitting = [entry for entry in numbered if entry[0][:2] == series]
    return max(fitting, default=(None, None))[1]


def other_series() -> tuple[int, int] | None:
    """The series that `GADGETIP_KERNEL` asks for; None where it names a directory or is not set."""
    match = _SERIES.fullmatch(os.environ.get("GADGETIP_KERNEL", ""))
    return (int(match[1]), int(match[2])) if match else None


def dependency(record: str) -> str | None:
    """The kernel package in the `Depends` field of the metapackage's record."""
    match = re.search(r"^Depends:.*?(linux-image-[^\s,]+)", record, re.MULTILINE)
    return match[1] if match else None


def obtain(*, newest: bool) -> Kernel:
    """A kernel that can be booted: the newest in apt if asked for or if none is cached yet."""
    override = os.environ.get("GADGETIP_KERNEL")
    if override and other_series() is None:
        return unpacked(Path(override).resolve())
    if not newest and (kernel := newest_cached()):
        return kernel
    try:
        return _download()
    except (BenchError, subprocess.CalledProcessError) as error:
        kernel = newest_cached()
        if kernel is None:
            raise BenchError(f"no kernel package through apt: {error}") from error
        print(f"kernel: apt has none to offer ({error}); the cached {kernel.release} stays in use")
        return kernel


def newest_cached() -> Kernel | None:
    """The newest kernel of the cache."""
    kernels = [unpacked(path) for path in _directory().glob("[0-9]*")]
    return max(kernels, key=lambda kernel: _sortable(kernel.release), default=None)


def unpacked(root: Path) -> Kernel:
    """The kernel in a directory; raises unless the image, the modules and their index are there."""
    releases = [path.name.removeprefix("vmlinuz-") for path in root.glob("boot/vmlinuz-*")]
    if len(releases) != 1:
        raise BenchError(f"{root} has {len(releases)} boot/vmlinuz-* files instead of one")
    if not (root / "lib/modules" / releases[0] / "modules.dep.bin").exists():
        raise BenchError(f"{root}/lib/modules/{releases[0]} has no index: run depmod -b {root}")
    return Kernel(root, releases[0])


def _sortable(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]


def _directory() -> Path:
    """Where kernels of the series in use are kept: each series has its own newest."""
    series = other_series()
    return places.cache() / ("kernel" if series is None else f"kernel-{series[0]}.{series[1]}")


def _download() -> Kernel:
    package = _find()
    if package is None:
        print("kernel: apt knows no fitting package yet, updating its lists")
        packages.update()
        package = _find()
    if package is None:
        raise BenchError(f"apt knows no kernel of {os.environ.get('GADGETIP_KERNEL') or '6.12'}")
    version = packages.candidate(package)
    directory = _directory()
    final = directory / version
    if final.exists():
        print(f"kernel: {package} {version} (cached)")
        return unpacked(final)
    print(f"kernel: downloading {package} {version}", flush=True)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=directory) as partial:
        root = Path(partial, "root")
        archive = packages.download(package, version, Path(partial))
        print("kernel: unpacking", flush=True)
        packages.unpack(archive, root)
        for modules in (root / "lib/modules").iterdir():
            index(root, modules.name)
        unpacked(root)
        shutil.rmtree(root / "usr", ignore_errors=True)  # documentation
        try:
            root.rename(final)
        except OSError:
            if not final.exists():  # else another process was faster: theirs is as good
                raise
    print(f"kernel: {final}")
    return unpacked(final)


def index(root: Path, release: str) -> None:
    """Make the index by which modprobe finds modules."""
    packages.run(["depmod", "-b", str(root), release])


def _find() -> str | None:
    record = packages.ask("apt-cache", "show", "--no-all-versions", METAPACKAGE)
    names = packages.ask("apt-cache", "pkgnames", "linux-image-").split()
    if (series := other_series()) is not None:
        return newest_of(series, names)
    return choose(names, dependency(record))
