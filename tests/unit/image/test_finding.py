"""What the initramfs finds out, by its own script, in a sysfs and a device tree made of files."""

import subprocess
from pathlib import Path

import pytest

from board.image.card import partition_table

SCRIPT = Path(__file__).parents[3] / "board/image/finding"
DISK = 0x67697062


class Machine:
    """The shell that init is, with these functions and folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("sys/class/block", "sys/class/net", "dev", "tree/aliases"):
            (root / name).mkdir(parents=True)

    def disk(self, name: str, identifier: int = DISK, separator: str = "p") -> None:
        (self.root / "dev" / name).write_bytes(partition_table(identifier))
        for number in range(1, 5):
            part = f"{name}{separator}{number}"
            device = self.root / "devices" / name / part
            device.mkdir(parents=True)
            (device / "partition").write_text(f"{number}\n")
            (self.root / "sys/class/block" / part).symlink_to(device)

    def tree(self, path: str, content: bytes) -> None:
        file = self.root / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def adapter(self, name: str, address: str) -> None:
        file = self.root / "sys/class/net" / name / "address"
        file.parent.mkdir()
        file.write_text(f"{address}\n")

    def ask(self, command: str) -> tuple[str, str]:
        """What it printed, and what it would have said on the console."""
        folders = f"sys={self.root}/sys dev={self.root}/dev tree={self.root}/tree"
        script = f'{folders}; . {SCRIPT}; say() {{ echo "$*" >&2; }}; {command}'
        done = subprocess.run(
            ["sh", "-u", "-c", script], check=False, capture_output=True, text=True, timeout=30
        )
        return done.stdout.strip(), done.stderr.strip()

    def partition(self, device: str, patient: str = "") -> tuple[str, str]:
        return self.ask(f"find_partition 2 {DISK:08x} '{device}' {patient}")

    def number(self) -> str:
        said, error = self.ask("find_number")
        assert not error
        return said.removeprefix(f"{self.root}/")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("device", ["mmc0", "virtio0", ""])
def test_the_only_card(machine: Machine, device: str) -> None:
    machine.disk("mmcblk1")
    machine.disk("mmcblk0", 0x0BADCAFE)
    assert machine.partition(device, "patient") == ("mmcblk1p2", "")


def test_the_emulated_boards(machine: Machine) -> None:
    machine.disk("vda", separator="")
    assert machine.partition("virtio0", "patient") == ("vda2", "")


def test_no_card(machine: Machine) -> None:
    machine.disk("mmcblk0", 0x0BADCAFE)
    assert machine.partition("mmc0") == ("", "")


@pytest.mark.parametrize("number", [0, 1])
def test_an_image_in_the_flash_and_on_the_card(machine: Machine, number: int) -> None:
    """A BeagleBone's: Linux and U-Boot have the numbers from the same device tree."""
    for each in (0, 1):
        machine.tree(f"aliases/mmc{each}", b"/mmc\0")
        machine.disk(f"mmcblk{each}")
    found, said = machine.partition(f"mmc{number}")
    assert found == f"mmcblk{number}p2"
    assert said == f"67697062-02 is there more than once: mmcblk0p2 mmcblk1p2; taking {found}"


def test_the_right_one_is_awaited_and_done_without(machine: Machine) -> None:
    machine.tree("aliases/mmc0", b"/mmc\0")
    machine.disk("mmcblk1")
    assert machine.partition("mmc0", "patient") == ("", "")
    assert machine.partition("mmc0") == ("mmcblk1p2", "")
    machine.disk("mmcblk0")
    assert machine.partition("mmc0", "patient")[0] == "mmcblk0p2"


def test_a_cards_twin_in_a_reader(machine: Machine) -> None:
    """A Pi's device tree has no names for the readers: Linux may count them otherwise."""
    machine.disk("sda", separator="")
    machine.disk("mmcblk1")
    machine.disk("asda", separator="")
    assert machine.partition("mmc0", "patient")[0] == "mmcblk1p2"


def test_a_pis_number(machine: Machine) -> None:
    machine.tree("serial-number", b"00000000deadbeef\0")
    machine.adapter("eth0", "02:00:00:00:00:01")
    assert machine.number() == "tree/serial-number"


CABLE = "ocp/interconnect@4a000000/switch@0/port@1"


def test_a_beaglebones_number(machine: Machine) -> None:
    """No serial number, and no adapter before its driver is loaded: what U-Boot wrote down."""
    machine.tree("aliases/ethernet0", b"/" + CABLE.encode() + b"\0")
    machine.tree(f"{CABLE}/mac-address", bytes(6))
    assert machine.number() == ""
    machine.tree(f"{CABLE}/mac-address", bytes.fromhex("544a16c0ffee"))
    assert machine.number() == f"tree/{CABLE}/mac-address"
    machine.tree(f"{CABLE}/local-mac-address", bytes.fromhex("544a16c0ffee"))
    assert machine.number() == f"tree/{CABLE}/local-mac-address"


def test_an_emulated_boards_number(machine: Machine) -> None:
    assert machine.number() == ""
    machine.adapter("wlan0", "02:00:00:00:00:02")
    machine.adapter("enp0s1", "02:00:00:00:00:01")
    assert machine.number() == "sys/class/net/enp0s1/address"
