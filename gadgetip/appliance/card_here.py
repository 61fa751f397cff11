"""The card that this board has booted from: its boot state, and what is in its slots."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gadgetip.appliance.boot_state import (
    SECTOR,
    STATE_OFFSETS,
    Booted,
    choose_boot_state,
    format_boot_state,
    parse_boot_state,
    parse_kernel_arguments,
)
from gadgetip.appliance.image_manifest import (
    NOTHING,
    OFFSET,
    RECORD_OFFSETS,
    SIZE,
    Manifest,
    format_manifest,
    slot_content,
)
from gadgetip.appliance.slots import Slot, Slots
from gadgetip.appliance.storage import Storage
from gadgetip.errors import PrerequisiteError

PARTITIONS = {Slot.A: 2, Slot.B: 3}
KERNEL_ARGUMENTS = Path("/proc/cmdline")
BLOCK_DEVICES = Path("/sys/class/block")
DEVICES = Path("/dev")
MOUNTS = Path("/proc/mounts")
SLOT = "/media"
"""Where the initramfs leaves the slot that it took the root file system from."""


@dataclass(frozen=True, slots=True)
class Card:
    """The whole disk, and the partition of each slot; its methods raise `OSError`."""

    disk: Path
    slots: dict[Slot, Path]
    running: Slot
    open: Callable[..., Storage] = field(default=Storage, compare=False)

    def boot_state(self) -> Slots:
        """Which slot boots next, and how often each may still."""
        with self.open(self.disk) as disk:
            return choose_boot_state(_copies(disk))

    def change_boot_state(self, change: Callable[[Slots], Slots]) -> Slots:
        """Make of it what `change` says, in both copies, and return it.

        Nothing is written where that is there already, and nobody else changes it in between. A
        copy that could not even be read may fail as long as the other one does not.
        """
        with self.open(self.disk, writing=True) as disk:
            disk.lock()
            copies = _copies(disk)
            slots = change(choose_boot_state(copies))
            sector = format_boot_state(slots)
            if any(parse_boot_state(copy) != slots for copy in copies):
                _write_copies(disk, copies, sector)
        return slots

    def content(self, slot: Slot) -> Manifest | None:
        """What was written into a slot, and may be gone since; None where nothing was."""
        with self.open(self.disk) as disk:
            record = disk.read(RECORD_OFFSETS[slot], SIZE)
            return slot_content(record, disk.read(OFFSET, SIZE), slot)

    def write_content(self, slot: Slot, content: Manifest | None) -> None:
        """Write down what is in a slot."""
        record = NOTHING if content is None else format_manifest(content)
        with self.open(self.disk, writing=True) as disk:
            disk.write(RECORD_OFFSETS[slot], record)
            disk.sync()


def card_here(
    *,
    arguments: Path = KERNEL_ARGUMENTS,
    block_devices: Path = BLOCK_DEVICES,
    devices: Path = DEVICES,
    mounts: Path = MOUNTS,
) -> Card:
    """Find it; raises `PrerequisiteError` where this system was not started from such a card."""
    booted = parse_kernel_arguments(arguments.read_text())
    if booted is None:
        raise PrerequisiteError(
            "this system was not started by an image's boot script: its kernel was told of no slot"
        )
    own = _disk_of_slot(mounts, block_devices)
    found = {
        slot: _partition(block_devices, devices, booted, PARTITIONS[slot], own) for slot in Slot
    }
    disks = {path.resolve().parent.name for path in found.values()}
    if len(disks) != 1:
        raise PrerequisiteError(f"the slots are on several disks ({', '.join(sorted(disks))})")
    return Card(
        devices / disks.pop(),
        {slot: devices / path.name for slot, path in found.items()},
        booted.slot,
    )


def _copies(disk: Storage) -> list[bytes]:
    """The boot state's; one that cannot be read is damaged."""
    copies = []
    for offset in STATE_OFFSETS:
        try:
            copies.append(disk.read(offset, SECTOR))
        except OSError:
            copies.append(b"")
    return copies


def _write_copies(disk: Storage, before: list[bytes], sector: bytes) -> None:
    failed: list[OSError] = []
    grave = False
    for offset, copy in zip(STATE_OFFSETS, before, strict=True):
        try:
            disk.write(offset, sector)
            disk.sync()
        except OSError as error:
            failed.append(error)
            # What is read there the next time is what was there before.
            grave = grave or parse_boot_state(copy) is not None
    if grave or len(failed) == len(before):
        raise failed[0]


def _disk_of_slot(mounts: Path, block_devices: Path) -> str | None:
    """The disk of the slot that runs; None where no slot is mounted."""
    for line in mounts.read_text().splitlines():
        device, where, *_ = line.split(" ")
        if where == SLOT and (path := block_devices / Path(device).name).exists():
            return path.resolve().parent.name
    return None


def _partition(
    block_devices: Path, devices: Path, booted: Booted, number: int, own: str | None
) -> Path:
    """The partition in sysfs, as the initramfs looks for it; of the disk `own`, if that is known.

    Another disk may have the same identifier, as the twin of a card in a reader. Only
    kernels after 6.12 say PARTUUID themselves, and udev's links may not be there yet.
    """
    found = []
    for path in sorted(block_devices.iterdir()):
        try:
            if int((path / "partition").read_text()) == number:
                disk = devices / path.resolve().parent.name
                if own in {None, disk.name} and _identifier(disk) == booted.disk:
                    found.append(path)
        except OSError:
            continue  # a whole disk, or it was unplugged
    if len(found) != 1:
        raise PrerequisiteError(
            f"{len(found)} partitions are called {booted.partuuid(number)}"
            + (f" ({', '.join(path.name for path in found)}): take one out" if found else "")
        )
    return found[0]


def _identifier(disk: Path) -> str:
    """The identifier in a disk's partition table (MBR), which PARTUUID begins with."""
    with disk.open("rb") as file:
        table = file.read(SECTOR)
    return f"{int.from_bytes(table[440:444], 'little'):08x}"
