"""What U-Boot and the system tell each other: boot state on the card, arguments to the kernel.

The state is a text as U-Boot's `env export -t` writes it, in one sector, filled with zeros. It is
on the card twice, between partition table and first partition, outside of any file system: one
that is written at each boot would be damaged by a power cut in the end. A sector is written whole
or not at all; the second copy is written once the first is on the card, and read where the first
makes no sense.

U-Boot writes it at each boot, and the system once more when it is well: two sectors, twice a boot.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gadgetip.appliance.slots import Slot, Slots, format_slots, parse_slots

SECTOR = 512
STATE_OFFSETS = (64 * SECTOR, 72 * SECTOR)
"""Where on the card, in bytes; board/image/boot.cmd has them too, in sectors."""

_DISK = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Booted:
    """What U-Boot has started: the slot, and the identifier of the disk that it is on."""

    slot: Slot
    disk: str
    """Eight hexadecimal digits, in lower case, as in a PARTUUID."""

    def partuuid(self, number: int) -> str:
        """Linux's name for a partition of that disk."""
        return f"{self.disk}-{number:02x}"


def format_boot_state(slots: Slots) -> bytes:
    """The sector."""
    text = "".join(f"{name}={value}\n" for name, value in format_slots(slots).items())
    return text.encode("ascii").ljust(SECTOR, b"\0")


def parse_boot_state(sector: bytes) -> Slots | None:
    """What one copy says; None where it makes no sense."""
    text = sector.partition(b"\0")[0].decode("ascii", "replace")
    return parse_slots(dict(line.split("=", 1) for line in text.split("\n") if "=" in line))


def choose_boot_state(copies: Sequence[bytes]) -> Slots:
    """What the first copy that makes sense says; a new card's state where none does."""
    return next((found for copy in copies if (found := parse_boot_state(copy))), Slots())


def parse_kernel_arguments(text: str) -> Booted | None:
    """What /proc/cmdline says; None where no boot script of ours has started this kernel."""
    arguments = dict(word.split("=", 1) for word in text.split() if "=" in word)
    slot, disk = arguments.get("gadgetip.slot", ""), arguments.get("gadgetip.disk", "")
    if slot not in set(Slot) or not _DISK.fullmatch(disk):
        return None
    return Booted(Slot(slot), disk)
