"""Which of a kernel's modules an image has, and in which order the initramfs loads its own.

Debian's kernel is for every machine; a board needs a tenth of it. What is kept is named by folder,
and whatever those need comes along. The files are unpacked: squashfs compresses them with something
that a board unpacks several times faster than xz.
"""

import lzma
import subprocess
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from board.image.debian import BuildError

KEPT = [
    "arch/*",
    "block/*",
    "crypto/*",
    "lib/*",
    "mm/*",
    "security/*",
    "fs/autofs/*",
    "fs/configfs/*",
    "fs/ext4/*",
    "fs/fat/*",
    "fs/fuse/*",
    "fs/nls/*",
    "fs/overlayfs/*",
    "fs/squashfs/*",
    "net/ipv6/ipv6.ko",
    "net/tls/*",
    "net/sched/sch_fq*",
    "net/sched/sch_netem.ko",
    "net/wireless/*",
    "net/rfkill/*",
    "net/packet/*",
    "net/unix/*",
    "drivers/base/*",
    "drivers/bus/*",
    "drivers/char/hw_random/*",
    "drivers/clk/*",
    "drivers/cpufreq/*",
    "drivers/dma/*",
    "drivers/extcon/*",
    "drivers/firmware/*",
    "drivers/gpio/*",
    "drivers/hid/*",
    "drivers/hwmon/*",
    "drivers/i2c/*",
    "drivers/input/*",
    "drivers/irqchip/*",
    "drivers/leds/*",
    "drivers/mailbox/*",
    "drivers/mfd/*",
    "drivers/mmc/*",
    "drivers/nvmem/*",
    "drivers/phy/*",
    "drivers/pinctrl/*",
    "drivers/platform/*",
    "drivers/pmdomain/*",
    "drivers/power/*",
    "drivers/pps/*",
    "drivers/ptp/*",
    "drivers/pwm/*",
    "drivers/regulator/*",
    "drivers/reset/*",
    "drivers/rtc/*",
    "drivers/soc/*",
    "drivers/thermal/*",
    "drivers/usb/*",
    "drivers/virtio/*",
    "drivers/watchdog/*",
    "drivers/block/loop.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/scsi/scsi_mod.ko",
    "drivers/scsi/sd_mod.ko",
    "drivers/scsi/sr_mod.ko",
    "drivers/net/virtio_net.ko",
    "drivers/net/mii.ko",
    "drivers/net/mdio/*",
    "drivers/net/phy/*",
    "drivers/net/pcs/*",
    "drivers/net/usb/*",
    "drivers/net/ethernet/ti/*",
    "drivers/net/wireless/broadcom/brcm80211/*",
]
"""Patterns of module files below kernel/. USB as a whole, because an image is a host in tests."""

DISKS = ("virtio_mmio", "virtio_pci", "virtio_blk", "mmc_block")
ROOT = ("ext4", "crc32c_generic", "loop", "squashfs", "overlay")
"""What the initramfs needs on every board and in QEMU, before and after what the board's own card
needs; what a kernel has built in is left out."""

REQUIRED = frozenset({"ext4", "loop", "squashfs", "overlay"})


def name_of(path: str) -> str:
    """A module's name, as modprobe has it, from its file's."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def read_dependencies(text: str) -> dict[str, list[str]]:
    """modules.dep: a file to the files it needs, nearest first (depmod(8))."""
    found = {}
    for line in text.splitlines():
        path, _, needed = line.partition(":")
        found[path] = needed.split()
    return found


def selected(dependencies: Mapping[str, Iterable[str]], kept: Iterable[str] = KEPT) -> list[str]:
    """The files that an image has, sorted: those that a pattern names, and what they need."""
    patterns = [f"kernel/{pattern}" for pattern in kept]
    found: set[str] = set()
    for path, needed in dependencies.items():
        plain = path.removesuffix(".xz")
        if any(fnmatch(plain, pattern) for pattern in patterns):
            found |= {path, *needed}
    return sorted(found)


def load_order(
    dependencies: Mapping[str, list[str]],
    builtin: Iterable[str],
    wanted: Iterable[str],
    required: Collection[str] = REQUIRED,
) -> list[str]:
    """The files of these modules in an order in which each can be loaded after what it needs.

    A module that this kernel has built in, or has not, is left out; raises BuildError for a
    required one that it has not.
    """
    paths = {name_of(path): path for path in dependencies}
    inside = {name_of(path) for path in builtin}
    order: list[str] = []
    for name in wanted:
        path = paths.get(name)
        if path is None:
            if name in required and name not in inside:
                raise BuildError(f"the kernel has no module {name}")
            continue
        order += [each for each in (*reversed(dependencies[path]), path) if each not in order]
    return order


def content(path: Path) -> bytes:
    """A module, unpacked."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def index(root: Path, release: str) -> None:
    """Write modules.dep and the other indexes of the modules below root/lib."""
    subprocess.run(["/sbin/depmod", "-b", root, release], check=True)
