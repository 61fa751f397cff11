"""GadgetFS without its limit, as dkms builds it out of its package for the suite's kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.packages.life import ensure
from tests.packages.report import step

if TYPE_CHECKING:
    from tests.packages.chroot import Chroot

MODULE = "gadgetip_gadgetfs"
VERSION = "1.0+rbuf4096"
INITRAMFS = """
mkdir -p /etc/initramfs-tools/conf.d
echo MODULES=list >/etc/initramfs-tools/conf.d/machine
printf '%s\\n' virtio_pci virtio_blk ext4 >/etc/initramfs-tools/modules
"""


def build(name: str, chroot: Chroot) -> str:
    """Install the suite's kernel and both packages; gives the kernel's release."""
    with step(name, "the suite's kernel"):
        # Of all drivers there are, an initramfs takes minutes to make.
        chroot.run(INITRAMFS)
        chroot.install("linux-image-amd64", "initramfs-tools", options="--no-install-recommends")
        release = chroot.run("ls /lib/modules").strip()
    with step(name, f"both packages, GadgetFS built by dkms for Linux {release}"):
        # Without recommends but linux-source: it is what the package recommends.
        chroot.install("./gadgetip.deb", "./dkms.deb", "linux-headers-amd64", "linux-source")
        said = chroot.run(f"dkms status -k {release}")
        ensure("gadgetip-gadgetfs" in said and "installed" in said, "not installed", said)
        said = chroot.run(f"modinfo -k {release} -F version {MODULE}").strip()
        ensure(said == VERSION, f"not version {VERSION}", said)
    return release


def forget_sources(chroot: Chroot) -> None:
    """Remove what only building needs: a machine boots sooner without it."""
    chroot.run("rm -rf /usr/src/linux-* /usr/lib/gcc /usr/share/doc /var/lib/apt/lists/*")
