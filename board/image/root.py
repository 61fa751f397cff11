"""The root file system, in two stages.

The first is Debian: mmdebstrap installs packages with qemu-user where the architecture is another
one, which takes minutes. It is kept, and made again only when a package has another version. The
second puts gadgetip, the kernel's modules, firmware and our files on top, and takes off what a
board has no use for.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from board.image.boards import Board, packages_of
from board.image.debian import COMPONENTS, RELEASE, Archive, key_of

BYTECODE = Path(__file__).with_name("bytecode.py")

UNWANTED = [
    "doc/*",
    "info/*",
    "lintian/*",
    "locale/*",
    "man/*",
    "bash-completion/*",
    "zsh/*",
    "fish/*",
    "bug/*",
    "gcc/*",
    "gdb/*",
    "pixmaps/*",
    "polkit-1/*",
]
"""Below /usr/share: nobody sits in front of a board."""

REMOVED = [
    "boot",
    "media",
    "srv",
    "usr/share/perl",
    "var/cache",
    "var/lib/apt",
    "var/log",
    "var/backups",
    "var/lib/dpkg/info",
    "var/lib/systemd/catalog",
    "var/lib/dpkg/available",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers",
    "etc/ssh/ssh_host_*",
    "etc/.resolv.conf*",
    "etc/.pwd.lock",
    "etc/*-",
    "root/.[!.]*",
    "usr/lib/udev/hwdb.bin",
    "etc/udev/hwdb.bin",
    "tmp/*",
]
"""What differs with each build, or serves only to install more."""

DEBIAN_TIME = 1754697600
"""The first stage's time, the day of trixie's release: our own changes must not make it anew."""

MADE = ("boot/firmware", "media", "var/cache", "var/log", "var/lib/gadgetip", "var/lib/dpkg")


def debian(board: Board, archive: Archive, cache: Path) -> tuple[Path, list[str]]:
    """The first stage: a tar archive of the installed packages, and their versions."""
    names = packages_of(board)
    versions = archive.resolve(names)
    command = ["mmdebstrap", f"--architectures={board.architecture}", "--variant=essential"]
    command += [f"--components={COMPONENTS.replace(' ', ',')}"]
    command += [f"--keyring={archive.origin.keyring}"]
    command += [f"--include={','.join(names)}", '--aptopt=APT::Install-Recommends "false"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{pattern}" for pattern in UNWANTED]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", "--skip=update"]
    command += ["--format=tar", RELEASE]
    key = key_of(*command, str(DEBIAN_TIME), *versions)
    target = cache / f"debian-{board.architecture}{archive.origin.name}-{key}.tar"
    if target.exists():
        print(f"image: Debian's {len(versions)} packages, installed before", flush=True)
        return target, versions
    print(f"image: installing {len(versions)} packages for {board.architecture}", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    for old in _useless(cache, f"{board.architecture}{archive.origin.name}"):
        old.unlink()
    partial = target.with_name(f".partial-{os.getpid()}-{target.name}")
    # With the very lists that the versions were resolved with. Some may be missing, while a mirror
    # is being updated, at which mmdebstrap's own update would give up.
    command += [str(partial), *archive.origin.sources]
    command.insert(1, f"--setup-hook={_take_lists(archive)}")
    try:
        _run(command, DEBIAN_TIME)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return target, versions


def complete(
    debian_tar: Path, package: Path, overlay: Path, units: Path, target: Path, time: int
) -> None:
    """The second stage: another tar archive, with gadgetip's package installed.

    `overlay` is a folder of files to put over the root; `units` says which units to enable and
    mask.
    """
    with tempfile.TemporaryDirectory(prefix="gadgetip-image-") as temporary:
        script = Path(temporary, "inside")
        script.write_text(_inside(package.name, _lines(units)))
        script.chmod(0o755)
        command = ["mmdebstrap", "--variant=custom", "--skip=update,setup,cleanup"]
        command += [f"--architectures={_architecture(package)}"]
        # Not mmdebstrap's own `tar-in`: that one was once seen to end by SIGPIPE.
        unpack = f"tar -x --numeric-owner --xattrs-include='*' -f {_quote(debian_tar)}"
        command += [
            f'--setup-hook={unpack} -C "$1"',
            f"--customize-hook=copy-in {_quote(package)} /",
        ]
        command += [f'--customize-hook={_quote(script)} "$1" before']
        command += [f"--customize-hook=sync-in {_quote(overlay)} /"]
        command += [
            f'--customize-hook={_quote(script)} "$1" after',
            f'--customize-hook={_quote(sys.executable)} {_quote(BYTECODE)} "$1"',
            "--format=tar",
            RELEASE,
            str(target),
            "",
        ]
        _run(command, time)


def _useless(cache: Path, name: str) -> Iterator[Path]:
    """Stages of other versions, and what builds that were killed have left."""
    key = "[0-9a-f]" * 16
    yield from cache.glob(f"debian-{name}-{key}.tar")
    for partial in cache.glob(f".partial-*-debian-{name}-{key}.tar"):
        if not Path("/proc", partial.name.split("-")[1]).exists():
            yield partial


def _take_lists(archive: Archive) -> str:
    """The command of a shell that gives a new root the archive's lists."""
    target = '"$1"/var/lib/apt/lists'
    return f"mkdir -p {target} && cp {_quote(archive.lists)}/*_* {target}/"


def _inside(package: str, units: Sequence[tuple[str, str]]) -> str:
    """The script that changes the root; `units` are ("enable" or "mask", name)."""
    enabled = " ".join(name for verb, name in units if verb == "enable")
    masked = "\n".join(
        f'    ln -sfn /dev/null "$root/etc/systemd/system/{name}"'
        for verb, name in units
        if verb == "mask"
    )
    return f"""\
#!/bin/sh
set -eu
root=$1
if [ "$2" = before ]; then
    chroot "$root" dpkg --install /{package}
    rm "$root/{package}"
else
    systemctl --root="$root" --quiet enable {enabled}
{masked}
    cd "$root"
    # No password is right, and yet the account is none that sshd takes for locked ("!").
    sed -i 's/^root:[^:]*:/root:*:/' etc/shadow
    # There is root, and there are services with what they need: nobody becomes root by a program.
    find . -xdev -type f -perm /6000 -exec chmod a-s {{}} +
    rm -rf {" ".join(REMOVED)}
    mkdir -p {" ".join(MADE)}
    : >etc/machine-id
    ln -sfn ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf
fi
"""


def _lines(units: Path) -> list[tuple[str, str]]:
    found = []
    for line in units.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            verb, name = words
            found.append((verb, name))
    return found


def _architecture(package: Path) -> str:
    return package.stem.rpartition("_")[2]


def _run(command: list[str], time: int) -> None:
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(time), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


def _quote(path: Path | str) -> str:
    """A path for a hook, which is a line of a shell's."""
    return shlex.quote(str(path))
