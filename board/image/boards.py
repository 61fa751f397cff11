"""What differs between the boards, as data: the builder has no `if` for one of them.

Debian has no packages for the ARMv6 of a Pi Zero W with hardware floating point, so that board gets
`armel`, which does without it: the native pump does not calculate.
"""

from dataclasses import dataclass, field

from board.image.boot_script import Envelope


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a Debian package, and its name on the FAT partition."""

    package: str
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Board:
    """One board.

    `disk` is the identifier in the partition table, from which Linux makes the partitions'
    PARTUUID. `kernel` is the metapackage. `modules` are what the initramfs needs to see the card
    and to have the watchdog, besides what every board needs; `device_trees` are names in the
    kernel's package, of which the first goes to the FAT partition too where the firmware wants it
    there. Of the firmware in `lacking`, which Debian has not, one file will do; `firmware_links`
    are the names under which Linux asks for firmware that Raspberry Pi publishes under others:
    link to file.
    """

    name: str
    title: str
    architecture: str
    kernel: str
    disk: int
    modules: tuple[str, ...]
    device_trees: tuple[str, ...]
    boot_files: tuple[Source, ...]
    boot_configuration: dict[str, str]
    boot_scripts: dict[str, Envelope] = field(default_factory=lambda: {"boot.scr": Envelope.LEGACY})
    firmware: tuple[str, ...] = ()
    wireless: bool = False
    lacking: tuple[str, ...] = ()
    firmware_links: dict[str, str] = field(default_factory=dict)


PI_FIRMWARE = tuple(
    Source("raspi-firmware", f"usr/lib/raspi-firmware/{name}", name)
    for name in ("bootcode.bin", "start.elf", "fixup.dat")
)

PI_WIRELESS = (
    "brcm/brcmfmac43430-sdio.bin",
    "brcm/brcmfmac43430-sdio.clm_blob",
    "brcm/brcmfmac43430-sdio.raspberrypi,model-zero-w.txt",
    "brcm/brcmfmac43430-sdio.raspberrypi,model-zero-2-w.txt",
    "brcm/brcmfmac43430-sdio.raspberrypi,3-model-b.txt",
    "cypress/cyfmac43430-sdio.bin",
    "cypress/cyfmac43430-sdio.clm_blob",
)

_PI_CONFIG = """\
# Read by the Raspberry Pi's firmware, which starts U-Boot, which starts the system. The port is a
# device's without an overlay: Debian's device tree says so.
kernel=u-boot.bin
enable_uart=1
gpu_mem=32
disable_splash=1
boot_delay=0
device_tree={tree}
"""

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        Board(
            name="pi-zero-2w",
            title="Raspberry Pi Zero 2 W",
            architecture="arm64",
            kernel="linux-image-arm64",
            disk=0x67697032,
            # Without the first, this kernel cannot restart this board, not even after a panic.
            modules=("bcm2835_wdt", "bcm2835", "sdhci_iproc"),
            device_trees=("bcm2837-rpi-zero-2-w.dtb",),
            boot_files=(
                *PI_FIRMWARE,
                Source("u-boot-rpi", "usr/lib/u-boot/rpi_arm64/u-boot.bin", "u-boot.bin"),
            ),
            boot_configuration={
                "config.txt": "arm_64bit=1\n" + _PI_CONFIG.format(tree="bcm2837-rpi-zero-2-w.dtb"),
            },
            firmware=PI_WIRELESS,
            wireless=True,
            lacking=(
                "brcm/brcmfmac43430b0-sdio.raspberrypi,model-zero-2-w.bin",
                "brcm/brcmfmac43430b0-sdio.bin",
            ),
            firmware_links={
                f"brcm/brcmfmac{asked}-sdio.raspberrypi,model-zero-2-w.{kind}": (
                    f"brcmfmac{published}-sdio.{kind}"
                )
                for asked, published in (("43430b0", "43436"), ("43430", "43436s"))
                for kind in ("bin", "clm_blob", "txt")
            },
        ),
        Board(
            name="pi-zero-w",
            title="Raspberry Pi Zero W",
            architecture="armel",
            kernel="linux-image-rpi",
            disk=0x67697031,
            modules=("bcm2835_wdt", "bcm2835", "sdhci_iproc"),
            device_trees=("bcm2835-rpi-zero-w.dtb",),
            boot_files=(
                *PI_FIRMWARE,
                Source("u-boot-rpi", "usr/lib/u-boot/rpi_0_w/u-boot.bin", "u-boot.bin"),
            ),
            boot_configuration={"config.txt": _PI_CONFIG.format(tree="bcm2835-rpi-zero-w.dtb")},
            firmware=PI_WIRELESS,
            wireless=True,
        ),
        Board(
            name="beaglebone-black",
            title="BeagleBone Black",
            architecture="armhf",
            kernel="linux-image-armmp",
            disk=0x67697062,
            # The watchdog's first: U-Boot may have started it, and its driver ends that.
            modules=("omap_wdt", "sdhci_omap", "omap_hsmmc"),
            device_trees=("am335x-boneblack.dtb",),
            boot_files=(
                Source("u-boot-omap", "usr/lib/u-boot/am335x_boneblack/MLO", "MLO"),
                Source("u-boot-omap", "usr/lib/u-boot/am335x_boneblack/u-boot.img", "u-boot.img"),
            ),
            boot_configuration={},
            # Its U-Boot looks for both, in this order, and may be one that opens only the first.
            boot_scripts={"boot.scr.uimg": Envelope.FIT, "boot.scr": Envelope.LEGACY},
        ),
    )
}

PACKAGES = (
    "ca-certificates",
    "dosfstools",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "libaio1t64",
    # Without it systemd-resolved 257 calls every board linux.local.
    "libidn2-0",
    "libnss-resolve",
    "libusb-1.0-0",
    "openssh-server",
    "python3",
    "python3-pyudev",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "usbutils",
)
"""What every board's root has, besides what Debian calls essential and what these depend on."""

WIRELESS_PACKAGES = ("iw", "wireless-regdb", "wpasupplicant")


def packages_of(board: Board) -> tuple[str, ...]:
    """The Debian packages of a board's root, sorted."""
    return tuple(sorted((*PACKAGES, *(WIRELESS_PACKAGES if board.wireless else ()))))
