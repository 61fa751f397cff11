"""A package's life on a system of its own architecture: from `apt install` to `apt purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.packages.report import PackageError, step
from tests.packages.stage import HIGHER

if TYPE_CHECKING:
    from tests.packages.chroot import Chroot

NATIVE = "(native pump)"
PLANNED = "gadgetip plan --descriptors /mnt/stick.bin --udc-model dwc2-bcm2835 --kernel 6.1"

# Everything on the disk with our name, or that names us in what dpkg and systemd keep.
OURS = """
find / -xdev -iname '*gadgetip*' -not -path '/mnt/*' -not -path '/var/cache/apt/*' \
    -not -path '/proc/*' -not -path '/var/cache/man/*'
grep -rl gadgetip /etc /var/lib/systemd /var/lib/dpkg/status /var/lib/dpkg/alternatives \
    /usr/share/bash-completion 2>/dev/null || true
"""


def ensure(condition: bool, what: str, said: str) -> None:
    """Raise PackageError with what was said, unless it is so."""
    if not condition:
        raise PackageError(f"{what}:\n{said.strip()}")


def live(name: str, chroot: Chroot) -> None:
    """Install, use, upgrade, remove, purge; raises PackageError."""
    with step(name, "apt install"):
        ensure(not (left := chroot.run(OURS)), "it knows gadgetip already", left)
        chroot.install("./gadgetip.deb")
        consistent(chroot)
    use(name, chroot)
    with step(name, "installed again, then a higher version, with board setup done"):
        chroot.run("gadgetip board setup --yes")
        chroot.install("./gadgetip.deb", options="--reinstall")
        chroot.install("./higher.deb")
        said = chroot.run("dpkg-query -W -f '${Version} ${Status}' gadgetip")
        ensure(said.endswith(f"{HIGHER} install ok installed"), "not upgraded", said)
        said = chroot.run("gadgetip board setup --dry-run")
        ensure("+++" not in said, "a second board setup would change something", said)
        chroot.run("gadgetip --version && gadgetip board setup --undo --yes")
    with step(name, "apt remove, apt purge"):
        chroot.run("apt -q -y remove gadgetip && mkdir -p /var/lib/gadgetip")
        said = chroot.run("test ! -e /usr/bin/gadgetip && find /usr/lib/gadgetip 2>&1 || true")
        ensure("No such file" in said, "files are left after apt remove", said)
        chroot.run("apt -q -y purge gadgetip")
        ensure(not (left := chroot.run(OURS)), "something is left after apt purge", left)


def consistent(chroot: Chroot) -> None:
    """Every file is as it was packed, and nothing is missing."""
    said = chroot.run("dpkg --verify gadgetip; dpkg --audit")
    ensure(not said, "not as packed", said)


def use(name: str, chroot: Chroot) -> None:
    """The program, its manual and completions, as installed."""
    with step(name, "the program, its manual, its completions"):
        said = chroot.run("gadgetip --version")
        ensure(NATIVE in said, "no native pump", said)
        planned(chroot)
        said = chroot.run("man -P cat gadgetip | head -5; man -w gadgetip-attach")
        ensure("GADGETIP(1)" in said, "no manual page", said)
        said = chroot.run(
            "bash -euc '. /usr/share/bash-completion/bash_completion; _load_comp gadgetip"
            " 2>/dev/null || __load_completion gadgetip; complete -p gadgetip'"
        )
        ensure("gadgetip" in said, "no completion", said)
        said = chroot.run("gadgetip board setup --dry-run")
        ensure("/etc/modules-load.d/gadgetip.conf" in said, "board setup shows nothing", said)
    with step(name, "gadgetip doctor"):
        # No kernel module fits a directory: a prerequisite is missing, and it says so.
        said = chroot.run("gadgetip doctor", status=6)
        for line in ("machine, libaio: there", "pump: the native one is in", "libusb: there"):
            ensure(line in said, f"doctor does not say {line!r}", said)


def planned(chroot: Chroot) -> None:
    """A plan, which takes the Python libraries but no kernel."""
    said = chroot.run(PLANNED)
    ensure("functionfs" in said.lower(), "no plan", said)


def look(name: str, chroot: Chroot, packages: str) -> None:
    """Have the suite's own lintian look at them; an error fails."""
    with step(name, "lintian"):
        chroot.install("lintian", options="--no-install-recommends")
        said = chroot.run(
            f"cd /mnt && lintian --fail-on error --suppress-tags bogus-mail-host {packages}"
        )
        for line in said.splitlines():
            if line[:3] in {"E: ", "W: "}:
                print(f"{name}: lintian: {line}")
