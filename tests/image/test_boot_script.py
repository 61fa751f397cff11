"""board/image/boot.cmd in Debian's U-Boot, against `next_boot`: which slot's kernel really runs."""

import itertools
import os
import random
import subprocess
from pathlib import Path

import pytest

from board.image.boot_script import Envelope, wrapped
from gadgetip.appliance.boot_state import (
    choose_boot_state,
    format_boot_state,
    parse_boot_state,
)
from gadgetip.appliance.slots import CONFIRMED, Slot, Slots, after_writing, next_boot, when_healthy
from tests.image import small_card
from tests.image.script_machine import boot, device_tree
from tests.image.small_card import SLOTS, SmallCard, first_partition, slot, system

SCRIPT = (Path(__file__).parents[2] / "board/image/boot.cmd").read_bytes()
ENVELOPES = {64: Envelope.LEGACY, 32: Envelope.FIT}
TIME = 1_700_000_000

STATES = [Slots(*each) for each in itertools.product(Slot, (0, 1, 2, 3), (0, 1, 2, 3))]
ODD = [Slots(Slot.A, 9, 0), Slots(Slot.B, 7, 9), Slots(Slot.A, 0, 8), Slots(Slot.B, 3, 9)]

both = pytest.mark.parametrize("bits", [64, 32])


@pytest.fixture
def card(tmp_path: Path, bits: int) -> SmallCard:
    return small_card.make(tmp_path, wrapped(SCRIPT, ENVELOPES[bits], TIME), bits)


def states_after(card: SmallCard) -> Slots:
    """What the boot saved; both copies are the same."""
    first, second = card.states()
    assert first == second
    found = parse_boot_state(first)
    assert found is not None
    return found


@both
def test_every_state_boots_what_next_boot_says(card: SmallCard, bits: int) -> None:
    wrong = []
    for state in STATES + ODD:
        card.set_states(format_boot_state(state), format_boot_state(state))
        booted = boot(card, bits)
        if (booted.ran, states_after(card)) != next_boot(state):
            wrong.append((state, booted.console))
        assert f"gadgetip.slot={booted.ran} gadgetip.disk=67697030 " in booted.arguments
    assert not wrong


DAMAGED = {
    "empty": b"",
    "erased": b"\xff" * 512,
    "zeros behind a newline": b"\n",
    "no order": b"BOOT_A_LEFT=3\nBOOT_B_LEFT=3\n",
    "one slot twice": b"BOOT_ORDER=B B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n",
    "one slot": b"BOOT_ORDER=B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n",
    "no tries": b"BOOT_ORDER=B A\nBOOT_B_LEFT=3\n",
    "empty tries": b"BOOT_ORDER=B A\nBOOT_A_LEFT=\nBOOT_B_LEFT=3\n",
    "two digits": b"BOOT_ORDER=B A\nBOOT_A_LEFT=10\nBOOT_B_LEFT=3\n",
    "negative": b"BOOT_ORDER=B A\nBOOT_A_LEFT=-1\nBOOT_B_LEFT=3\n",
    "a word": b"BOOT_ORDER=B A\nBOOT_A_LEFT=x\nBOOT_B_LEFT=3\n",
    "lower case": b"BOOT_ORDER=b a\nBOOT_A_LEFT=1\nBOOT_B_LEFT=3\n",
    "cut off": b"BOOT_A_LEFT=1\nBOOT_B_LEFT=3\nBOOT_ORD",
    "a command": b"BOOT_ORDER=B A; reset\nBOOT_A_LEFT=1\nBOOT_B_LEFT=3\n",
    "a variable of its own": b"bootcmd=reset\nBOOT_ORDER=A A\nBOOT_A_LEFT=1\nBOOT_B_LEFT=3\n",
    "noise": random.Random(1).randbytes(512),
}


@pytest.mark.parametrize("bits", [64])
def test_a_damaged_copy_leaves_the_other(card: SmallCard, bits: int) -> None:
    state = Slots(Slot.B, 1, 2)
    for damaged in DAMAGED.values():
        card.set_states(damaged, format_boot_state(state))
        assert boot(card, bits).ran == "B"
        assert states_after(card) == next_boot(state)[1]


@pytest.mark.parametrize("bits", [32])
def test_a_damaged_second_copy_is_not_looked_at_and_repaired(card: SmallCard, bits: int) -> None:
    state = Slots(Slot.B, 1, 2)
    for damaged in DAMAGED.values():
        card.set_states(format_boot_state(state), damaged)
        assert boot(card, bits).ran == "B"
        assert states_after(card) == next_boot(state)[1]


@both
def test_without_a_state_the_card_is_new(card: SmallCard, bits: int) -> None:
    for damaged in DAMAGED.values():
        card.set_states(damaged, damaged)
        booted = boot(card, bits)
        assert booted.ran == "A"
        assert states_after(card) == next_boot(Slots())[1]
        assert "makes no sense" in booted.console


@pytest.mark.parametrize("bits", [64])
def test_bits_that_flip_are_read_as_the_system_reads_them(card: SmallCard, bits: int) -> None:
    """Seeded; a flip that U-Boot and the system would read differently would be a bug in one."""
    chance = random.Random(7)
    good = format_boot_state(Slots(Slot.B, 2, 1))
    length = len(good.rstrip(b"\0"))
    for _ in range(40):
        copies = []
        for _ in range(2):
            copy = bytearray(good)
            copy[chance.randrange(length)] ^= 1 << chance.randrange(8)
            copies.append(bytes(copy))
        card.set_states(*copies)
        assert (boot(card, bits).ran, states_after(card)) == next_boot(choose_boot_state(copies)), (
            copies
        )


@both
def test_a_slot_that_cannot_be_loaded_gives_way_at_once(
    card: SmallCard, bits: int, tmp_path: Path
) -> None:
    good = system("B", bits)
    broken = [
        {},
        {name: content for name, content in good.items() if name != "initrd.img"},
        {name: content for name, content in good.items() if name != "vmlinuz"},
        good | {"vmlinuz": b"this is no kernel, however long it may be" * 9},
        good | {"vmlinuz": b""},
    ]
    state = Slots(Slot.B, 1, 2)
    images = [slot(tmp_path, files).read_bytes() for files in broken]
    images.append(bytes(SLOTS["B"][1]))  # an update that was cut off
    for image in images:
        (tmp_path / "slot").write_bytes(image)
        card.insert(SLOTS["B"], tmp_path / "slot")
        card.set_states(format_boot_state(state), b"")
        booted = boot(card, bits)
        assert booted.tried == ["B", "A"]
        assert booted.ran == "A"
        assert "gadgetip.slot=A " in booted.arguments
        assert states_after(card) == next_boot(state)[1]


@both
def test_where_neither_can_be_loaded_it_starts_again(
    card: SmallCard, bits: int, tmp_path: Path
) -> None:
    nothing = slot(tmp_path, {})
    for where in SLOTS.values():
        card.insert(where, nothing)
    booted = boot(card, bits)
    assert booted.tried == ["A", "B"]
    assert booted.ran is None
    assert "trying again in 10 seconds" in booted.console  # and QEMU ended: a reset


@both
def test_a_persons_own_arguments(card: SmallCard, bits: int, tmp_path: Path) -> None:
    script = wrapped(SCRIPT, ENVELOPES[bits], TIME)
    for text in (
        b"extra=modules_load=dummy_hcd systemd.log_level=debug\n",
        b"extra=modules_load=dummy_hcd systemd.log_level=debug\r\n",
        b"# mine\nbootargs=no\nfdt_addr=1\nextra=modules_load=dummy_hcd systemd.log_level=debug",
    ):
        files = {"boot.scr": script, "extra.txt": text}
        card.insert(small_card.FIRST, first_partition(tmp_path, files))
        booted = boot(card, bits)
        assert booted.ran is not None
        assert booted.arguments.endswith(
            "panic=10 quiet loglevel=4 modules_load=dummy_hcd systemd.log_level=debug"
        )


@both
def test_the_device_tree_of_the_slot_where_the_firmware_has_none(
    card: SmallCard, bits: int, tmp_path: Path
) -> None:
    before = b"setenv fdt_addr_r ${fdt_addr}\nsetenv fdt_addr\nsetenv fdtfile a-board.dtb\n"
    script = wrapped(before + SCRIPT, ENVELOPES[bits], TIME)
    card.insert(small_card.FIRST, first_partition(tmp_path, {"boot.scr": script}))
    booted = boot(card, bits)
    assert booted.ran is None
    assert "/dtb/a-board.dtb" in booted.console

    tree = device_tree(bits, tmp_path / "tree.dtb")
    card.insert(SLOTS["A"], slot(tmp_path, system("A", bits) | {"dtb/a-board.dtb": tree}))
    assert boot(card, bits).ran == "A"


@both
def test_each_envelope_is_opened(card: SmallCard, bits: int, tmp_path: Path) -> None:
    for envelope in Envelope:
        script = wrapped(SCRIPT, envelope, TIME)
        card.insert(small_card.FIRST, first_partition(tmp_path, {"boot.scr": script}))
        card.set_states(b"", b"")
        assert boot(card, bits).ran == "A"


@both
def test_a_bad_update_from_its_first_boot_to_the_last(card: SmallCard, bits: int) -> None:
    """Slot B starts each time and never gets well: after three boots A is back, for good."""
    state = after_writing(when_healthy(Slots(), Slot.A), Slot.A)
    card.set_states(format_boot_state(state), format_boot_state(state))
    assert [boot(card, bits).ran for _ in range(4)] == ["B", "B", "B", "A"]
    state = when_healthy(states_after(card), Slot.A)
    card.set_states(format_boot_state(state), format_boot_state(state))
    assert boot(card, bits).ran == "A"
    assert states_after(card) == Slots(Slot.A, CONFIRMED - 1, 0)


@pytest.mark.parametrize("bits", [64])
def test_a_copy_that_cannot_be_read_is_no_reason_to_stop(
    card: SmallCard, bits: int, tmp_path: Path
) -> None:
    """`false` stands in for a card whose sector is gone, for reading and for writing."""
    for command in (b"${devtype} read", b"${devtype} write"):
        script = SCRIPT.replace(command, b"false ")
        assert script != SCRIPT
        files = {"boot.scr": wrapped(script, Envelope.LEGACY, TIME)}
        card.insert(small_card.FIRST, first_partition(tmp_path, files))
        assert boot(card, bits).ran == "A"


def test_the_script_uses_only_what_every_board_has() -> None:
    """What Debian's rpi_arm64, rpi_0_w, am335x_boneblack and qemu_* of U-Boot 2025.01 all have."""
    known = {
        "${devtype}",
        "setenv",
        "env",
        "echo",
        "part",
        "load",
        "booti",
        "bootz",
        "sleep",
        "reset",
    }
    known |= {"test", "true", "for", "do", "done", "if", "then", "else", "fi"}
    for line in SCRIPT.decode("ascii").splitlines():
        words = line.split("#")[0].replace(";", " ; ").split()
        expected = True
        for word in words:
            if expected:
                assert word in known, line
            expected = word in {";", "if", "then", "else", "do"}


def test_mkimage_makes_the_same(tmp_path: Path) -> None:
    """Byte for byte the legacy one; the other is at least what it calls a script."""
    (tmp_path / "boot.cmd").write_bytes(SCRIPT)
    made = tmp_path / "boot.scr"
    legacy = ["-A", "arm", "-O", "linux", "-T", "script", "-C", "none", "-n", "gadgetip"]
    mkimage(*legacy, "-d", tmp_path / "boot.cmd", made)
    assert made.read_bytes() == wrapped(SCRIPT, Envelope.LEGACY, TIME)
    made.write_bytes(wrapped(SCRIPT, Envelope.FIT, TIME))
    listed = mkimage("-l", made)
    assert "Type:         Script" in listed
    assert f"Data Size:    {len(SCRIPT)} Bytes" in listed


def mkimage(*arguments: object) -> str:
    """What U-Boot's own tool says."""
    return subprocess.run(
        ["mkimage", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(TIME)},
    ).stdout
