"""A Debian system in a directory, and throw-away copies of it.

mmdebstrap makes the system once; the cache keeps it. A copy is an overlay: what a test writes goes
to a directory of its own. Every command has a mount and a process namespace for itself, in which
that overlay is mounted, so that nothing has to be unmounted afterwards and no process stays.

It takes root. A system of another architecture runs through binfmt_misc and qemu-user-static.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from board.image.debian import BuildError
from board.image.foreign_code import let_run
from tests.machine import places
from tests.packages.report import PackageError
from tests.packages.target import native_architecture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.packages.target import Target

NATIVE_PACKAGES = ("systemd-sysv", "man-db", "bash-completion")
FOREIGN_PACKAGES = ("python3",)  # which takes minutes to install in emulation

ARCHIVE = "http://deb.debian.org/debian"
"""The release alone. Lists of its updates are not always whole for every architecture."""

STAGE = "mnt"
"""Where a copy sees what it is given, below its root."""

# $1 the system, $2 the copy's directory, $3 the archives that apt keeps, $4 what is given to it.
MOUNTS = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount -t sysfs -o ro sysfs "$2/root/sys"
mount --bind "$3" "$2/root/var/cache/apt/archives"
mount --bind -o ro "$4" "$2/root/mnt"
copy=$2; shift 4
"""
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
OUTPUT_LINES = 40  # of a command that failed
LIMIT = 1800.0  # seconds, for one command


class Chroot:
    """A copy of a system; what is written to it goes with its directory."""

    def __init__(self, system: Path, directory: Path, stage: Path) -> None:
        self.directory = directory
        self._arguments = [str(system / "root"), str(directory), str(system / "archives")]
        self._arguments.append(str(stage))
        for name in ("upper", "work", "root"):
            (directory / name).mkdir()

    def run(self, script: str, *, status: int = 0, processor: str | None = None) -> str:
        """What a shell script says in it; raises PackageError on another exit status."""
        command = ["chroot", f"{self.directory}/root", "sh", "-euc", script]
        return self._execute(command, status, {"QEMU_CPU": processor} if processor else {})

    def beside(self, script: str, *arguments: str) -> str:
        """What a script of this machine says, to which the copy is $copy/root."""
        return self._execute(["sh", "-euc", f"copy={self.directory}; {script}", "sh", *arguments])

    def install(self, *packages: str, options: str = "") -> str:
        """Have apt install what the archive has, or a file of the stage (`./NAME.deb`)."""
        return self.run(f"cd /{STAGE} && {APT} install {options} {' '.join(packages)}")

    def _execute(
        self, command: list[str], status: int = 0, extra: dict[str, str] | None = None
    ) -> str:
        # The first process of the namespace stays this machine's: an emulated one was once seen to
        # wait for ever for a child that had ended.
        setup = MOUNTS + '"$@"; exit $?'
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        done = subprocess.run(
            [*namespaces, "sh", "-euc", setup, "sh", *self._arguments, *command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT | (extra or {}),
            timeout=LIMIT,
            text=True,
            errors="replace",
        )
        if done.returncode != status:
            tail = "\n".join(done.stdout.splitlines()[-OUTPUT_LINES:])
            raise PackageError(f"status {done.returncode} of {command[-1]}\n{tail}")
        return done.stdout


APT = (
    "apt -q -y -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o APT::Keep-Downloaded-Packages=true"
    " -o APT::Sandbox::User=root"
)


@contextmanager
def copy_of(target: Target, stage: Path) -> Iterator[Chroot]:
    """A copy of a target's system, whose apt knows the archive of today."""
    if os.geteuid() != 0:
        raise PackageError("this takes root: sudo make test-packages")
    try:
        let_run(target.arch)
    except BuildError as error:
        raise PackageError(str(error)) from None
    system = obtain(target)
    # In the cache, whose filesystem can carry an overlay; /tmp may be an overlay itself.
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=system) as directory:
        chroot = Chroot(system, Path(directory), stage)
        chroot.run(f"{APT} update")
        yield chroot


def obtain(target: Target) -> Path:
    """The directory of a target's system, which is made if the cache has none."""
    native = target.arch == native_architecture()
    packages = ",".join(NATIVE_PACKAGES if native else FOREIGN_PACKAGES)
    recipe = f"{packages} of {ARCHIVE}"
    directory = places.cache() / "chroots" / target.name
    stamp = directory / "recipe"
    if stamp.exists() and stamp.read_text().strip() == recipe:
        return directory
    print(f"{target.name}: making the system with mmdebstrap", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "archives" / "partial").mkdir(parents=True)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}"]
    command += [f"--architectures={target.arch}", target.suite, str(directory / "root"), ARCHIVE]
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode:
        raise PackageError(f"mmdebstrap could not make {target.name}")
    shutil.copy("/etc/resolv.conf", directory / "root/etc/resolv.conf")
    stamp.write_text(recipe + "\n")
    return directory
