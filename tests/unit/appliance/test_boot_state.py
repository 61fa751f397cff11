"""The boot state's two sectors, and what the kernel was told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.boot_state import (
    SECTOR,
    Booted,
    choose_boot_state,
    format_boot_state,
    parse_boot_state,
    parse_kernel_arguments,
)
from gadgetip.appliance.slots import Slot, Slots

any_slots = st.builds(Slots, st.sampled_from(Slot), st.integers(0, 9), st.integers(0, 9))


@given(any_slots)
def test_a_sector(slots: Slots) -> None:
    sector = format_boot_state(slots)
    assert len(sector) == SECTOR
    assert parse_boot_state(sector) == slots


def test_the_order_in_which_uboot_writes_them() -> None:
    text = b"BOOT_A_LEFT=2\nBOOT_B_LEFT=0\nBOOT_ORDER=B A\n\0\0"
    assert parse_boot_state(text) == Slots(Slot.B, 2, 0)


@given(st.binary(max_size=SECTOR))
def test_any_bytes(sector: bytes) -> None:
    found = parse_boot_state(sector)
    assert found is None or sector.startswith(b"BOOT_")


@given(any_slots, st.data())
def test_a_sector_that_was_cut(slots: Slots, data: st.DataObject) -> None:
    """A torn sector is the state that was, the one that is, or none."""
    sector = format_boot_state(slots)
    cut = data.draw(st.integers(0, SECTOR))
    assert parse_boot_state(sector[:cut].ljust(SECTOR, b"\xff")) in {None, slots}
    assert parse_boot_state(sector[:cut].ljust(SECTOR, b"\0")) in {None, slots}


@given(any_slots, any_slots, st.binary(max_size=SECTOR))
def test_the_second_copy_counts_where_the_first_is_damaged(
    first: Slots, second: Slots, noise: bytes
) -> None:
    damaged = b"\xff" + noise
    sectors = format_boot_state(first), format_boot_state(second)
    assert choose_boot_state(sectors) == first
    assert choose_boot_state([damaged, sectors[1]]) == second
    assert choose_boot_state([damaged, b""]) == Slots()


def test_what_the_kernel_was_told() -> None:
    text = "gadgetip.slot=B gadgetip.disk=67697032 console=ttyAMA0 panic=10 quiet loglevel=4 x\n"
    booted = parse_kernel_arguments(text)
    assert booted == Booted(Slot.B, "67697032")
    assert booted.partuuid(3) == "67697032-03"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root=/dev/sda1",
        "gadgetip.slot=A",
        "gadgetip.disk=67697032",
        "gadgetip.slot=C gadgetip.disk=67697032",
        "gadgetip.slot=AB gadgetip.disk=67697032",
        "gadgetip.slot=A gadgetip.disk=67697032-02",
        "gadgetip.slot=A gadgetip.disk=../../dev",
        "gadgetip.slot=A gadgetip.disk=\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661",
    ],
)
def test_a_kernel_that_no_image_started(text: str) -> None:
    assert parse_kernel_arguments(text) is None


@given(st.text())
def test_any_arguments(text: str) -> None:
    assert parse_kernel_arguments(text) is None
