"""Which disk the board has booted from, in a sysfs and a /dev made of files."""

from pathlib import Path

import pytest

from gadgetip.appliance.card_here import Card, card_here
from gadgetip.appliance.slots import Slot
from gadgetip.errors import PrerequisiteError

ARGUMENTS = "gadgetip.slot=B gadgetip.disk=67697032 console=ttyS1 quiet\n"


class Machine:
    """As Linux shows block devices: links to folders, a partition's below its disk's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.block = root / "class"
        self.block.mkdir()
        self.dev = root / "dev"
        self.dev.mkdir()
        (root / "cmdline").write_text(ARGUMENTS)
        (root / "mounts").write_text("none /proc proc rw 0 0\n")

    def disk(self, name: str, identifier: str, separator: str = "p", count: int = 4) -> None:
        self._device(Path(name))
        table = bytes(440) + int(identifier or "0", 16).to_bytes(4, "little")
        (self.dev / name).write_bytes(table.ljust(512, b"\0"))
        for number in range(1, count + 1):
            part = f"{name}{separator}{number}"
            (self._device(Path(name, part)) / "partition").write_text(f"{number}\n")

    def _device(self, path: Path) -> Path:
        device = self.root / "devices" / path
        device.mkdir(parents=True)
        (self.block / path.name).symlink_to(device)
        return device

    def card(self) -> Card:
        return card_here(
            arguments=self.root / "cmdline",
            block_devices=self.block,
            devices=self.dev,
            mounts=self.root / "mounts",
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_boards(machine: Machine) -> None:
    machine.disk("mmcblk0", "67697032")
    machine.disk("mmcblk1", "0badcafe")
    machine.disk("loop0", "", count=0)
    assert machine.card() == Card(
        machine.dev / "mmcblk0",
        {Slot.A: machine.dev / "mmcblk0p2", Slot.B: machine.dev / "mmcblk0p3"},
        Slot.B,
    )


def test_the_emulated_boards(machine: Machine) -> None:
    machine.disk("vda", "67697032", separator="")
    assert machine.card().disk == machine.dev / "vda"
    assert machine.card().slots[Slot.A] == machine.dev / "vda2"


def test_two_cards_of_the_same_image(machine: Machine) -> None:
    machine.disk("mmcblk0", "67697032")
    machine.disk("mmcblk1", "67697032")
    with pytest.raises(PrerequisiteError, match=r"\(mmcblk0p2, mmcblk1p2\): take one out"):
        machine.card()


@pytest.mark.parametrize("own", ["mmcblk0", "mmcblk1"])
def test_two_cards_of_the_same_image_of_which_one_runs(machine: Machine, own: str) -> None:
    machine.disk("mmcblk0", "67697032")
    machine.disk("mmcblk1", "67697032")
    mounts = f"none / overlay rw 0 0\n/dev/{own}p3 /media ext4 ro,relatime 0 0\n"
    (machine.root / "mounts").write_text(mounts)
    card = machine.card()
    assert card.disk == machine.dev / own
    assert card.slots == {Slot.A: machine.dev / f"{own}p2", Slot.B: machine.dev / f"{own}p3"}


def test_something_else_in_the_place_of_the_slot(machine: Machine) -> None:
    machine.disk("mmcblk0", "67697032")
    (machine.root / "mounts").write_text("none /media tmpfs rw 0 0\n/dev/sda1 /media vfat rw 0 0\n")
    assert machine.card().disk == machine.dev / "mmcblk0"


def test_a_card_that_is_gone(machine: Machine) -> None:
    machine.disk("sda", "67697033")
    with pytest.raises(PrerequisiteError, match="0 partitions are called 67697032-02"):
        machine.card()


def test_a_system_that_was_started_otherwise(machine: Machine) -> None:
    (machine.root / "cmdline").write_text("root=/dev/sda1 quiet\n")
    with pytest.raises(PrerequisiteError, match="told of no slot"):
        machine.card()
