"""Which disk the board has booted from, in a sysfs made of files."""

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
        (root / "cmdline").write_text(ARGUMENTS)

    def disk(self, name: str, identifier: str, separator: str = "p", count: int = 4) -> None:
        self._device(Path(name), f"DEVTYPE=disk\nDEVNAME={name}\n")
        for number in range(1, count + 1):
            part = f"{name}{separator}{number}"
            uuid = f"PARTUUID={identifier}-{number:02x}\n" if identifier else ""
            self._device(Path(name, part), f"DEVTYPE=partition\nDEVNAME={part}\n{uuid}")

    def _device(self, path: Path, uevent: str) -> None:
        device = self.root / "devices" / path
        device.mkdir(parents=True)
        (device / "uevent").write_text(uevent)
        (self.block / path.name).symlink_to(device)

    def card(self) -> Card:
        return card_here(
            arguments=self.root / "cmdline", block_devices=self.block, devices=Path("/dev")
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_boards(machine: Machine) -> None:
    machine.disk("mmcblk0", "67697032")
    machine.disk("mmcblk1", "0badcafe")
    machine.disk("loop0", "", count=0)
    assert machine.card() == Card(
        Path("/dev/mmcblk0"),
        {Slot.A: Path("/dev/mmcblk0p2"), Slot.B: Path("/dev/mmcblk0p3")},
        Slot.B,
    )


def test_the_emulated_boards(machine: Machine) -> None:
    machine.disk("vda", "67697032", separator="")
    assert machine.card().disk == Path("/dev/vda")
    assert machine.card().slots[Slot.A] == Path("/dev/vda2")


def test_two_cards_of_the_same_image(machine: Machine) -> None:
    machine.disk("mmcblk0", "67697032")
    machine.disk("mmcblk1", "67697032")
    with pytest.raises(PrerequisiteError, match=r"\(mmcblk0p2, mmcblk1p2\): take one out"):
        machine.card()


def test_a_card_that_is_gone(machine: Machine) -> None:
    machine.disk("sda", "67697033")
    with pytest.raises(PrerequisiteError, match="0 partitions are called 67697032-02"):
        machine.card()


def test_a_system_that_was_started_otherwise(machine: Machine) -> None:
    (machine.root / "cmdline").write_text("root=/dev/sda1 quiet\n")
    with pytest.raises(PrerequisiteError, match="told of no slot"):
        machine.card()
