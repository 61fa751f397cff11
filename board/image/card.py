"""Where everything lies on a card: pure, so that it can be tested without one.

    sector 0          partition table (MBR), all that a Raspberry Pi's and a BeagleBone's ROM read
    sector 64, 72     boot state, twice: which slot is preferred, and the tries each has left. One
                      sector is written whole or not at all; should it be damaged, there is the
                      other
    sector 128        manifest: what this image is, for whoever updates from it
    sector 136, 144   what an update has written into slot A and slot B, in the same form
    4 MiB             1: FAT, what a person and the boot loader read
    ...               2, 3: slots A and B; 4: state

The boot state is not a file of the FAT partition: U-Boot writes it at each boot, and a file system
that is written at each boot is one that a power cut damages in the end.

What the running board reads and writes as well, boot state and manifests, has its places and its
form from gadgetip/appliance; what only the builder needs is here.
"""

import struct
from dataclasses import dataclass

from gadgetip.appliance import boot_state, image_manifest
from gadgetip.appliance.boot_state import SECTOR
from gadgetip.appliance.image_manifest import About, Manifest
from gadgetip.appliance.slots import Slots

MIB = 1 << 20

FAT32_LBA = 0x0C
LINUX = 0x83


@dataclass(frozen=True, slots=True)
class Partition:
    """Type, first byte, length in bytes; `active` is what a BeagleBone's ROM looks for."""

    kind: int
    start: int
    size: int
    active: bool = False


BOOT = Partition(FAT32_LBA, 4 * MIB, 64 * MIB, active=True)
SLOT_A = Partition(LINUX, BOOT.start + BOOT.size, 384 * MIB)
SLOT_B = Partition(LINUX, SLOT_A.start + SLOT_A.size, SLOT_A.size)
STATE = Partition(LINUX, SLOT_B.start + SLOT_B.size, 64 * MIB)
PARTITIONS = (BOOT, SLOT_A, SLOT_B, STATE)
CARD_BYTES = STATE.start + STATE.size


def partition_table(disk: int, partitions: tuple[Partition, ...] = PARTITIONS) -> bytes:
    """The first sector. Addresses in cylinders, which nobody reads, say "see the others"."""
    entries = b"".join(
        struct.pack(
            "<B3sB3sII",
            0x80 if each.active else 0,
            b"\xfe\xff\xff",
            each.kind,
            b"\xfe\xff\xff",
            each.start // SECTOR,
            each.size // SECTOR,
        )
        for each in partitions
    )
    return bytes(440) + struct.pack("<IH", disk, 0) + entries.ljust(64, b"\0") + b"\x55\xaa"


def first_sectors(
    disk: int, manifest: Manifest, partitions: tuple[Partition, ...] = PARTITIONS
) -> dict[int, bytes]:
    """What a new card has before its first partition: offset in bytes to content.

    Slot B is empty, and there is no record of what updates have written.
    """
    state = boot_state.format_boot_state(Slots())
    return {
        0: partition_table(disk, partitions),
        **dict.fromkeys(boot_state.STATE_OFFSETS, state),
        image_manifest.OFFSET: image_manifest.format_manifest(manifest),
    }


def manifest(about: About, size: int, sha256: str) -> Manifest:
    """What the image is: its slot's content is `size` bytes at the start of slot A."""
    return Manifest(about, SLOT_A.start, size, sha256)
