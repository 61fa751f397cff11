"""What is said before a slot is written over, and what is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.image_manifest import About, Manifest
from gadgetip.appliance.slots import (
    Slot,
    Slots,
    after_writing,
    is_confirmed,
    next_boot,
    when_healthy,
)
from gadgetip.appliance.update_plan import check_trial, check_update
from gadgetip.errors import GadgetipError

from .images import NEW, OLD

SHA = "0" * 64
IMAGE = Manifest(NEW, 1 << 20, 300 << 20, SHA)
SLOT_SIZE = 384 << 20

any_slots = st.builds(Slots, st.sampled_from(Slot), st.integers(0, 9), st.integers(0, 9))


def of_version(version: str, built: str = OLD.built) -> About:
    return About(OLD.board, version, built)


@pytest.mark.parametrize(
    ("running", "new", "word"),
    [
        ("0.1.0", "0.2.0", "newer"),
        ("0.9.0", "0.10.0", "newer"),
        ("0.2", "0.2.1", "newer"),
        ("0.2.1", "0.2", "older"),
        ("1.0", "0.99.99", "older"),
        ("0.2.0", "0.1.0", "older"),
    ],
)
def test_which_is_the_older(running: str, new: str, word: str) -> None:
    line = check_update(of_version(running), replace(IMAGE, about=of_version(new)), SLOT_SIZE)
    assert f" {word} than what runs" in line
    assert running in line
    assert new in line


def test_the_same_version_is_ordered_by_when_it_was_built() -> None:
    later = of_version("0.1.0", "2027-01-01T00:00:00Z")
    assert "newer" in check_update(OLD, replace(IMAGE, about=later), SLOT_SIZE)
    assert "older" in check_update(later, replace(IMAGE, about=OLD), SLOT_SIZE)
    assert "the same" in check_update(OLD, replace(IMAGE, about=OLD), SLOT_SIZE)


def test_another_boards_image() -> None:
    with pytest.raises(GadgetipError, match="for pi-zero-w, and this board is a pi-zero-2w"):
        check_update(OLD, replace(IMAGE, about=replace(NEW, board="pi-zero-w")), SLOT_SIZE)


def test_a_system_larger_than_the_slot() -> None:
    check_update(OLD, replace(IMAGE, size=SLOT_SIZE), SLOT_SIZE)
    with pytest.raises(GadgetipError, match="385 MiB, and the card has 384"):
        check_update(OLD, replace(IMAGE, size=SLOT_SIZE + 512), SLOT_SIZE)


@given(any_slots)
def test_a_boot_is_a_trial_until_the_board_is_well(slots: Slots) -> None:
    running, booted = next_boot(slots)
    assert not is_confirmed(booted, running)
    well = when_healthy(booted, running)
    assert is_confirmed(well, running)
    # Written, and not yet started again: the one that runs is still the one that is well.
    assert is_confirmed(after_writing(well, running), running)


def test_what_the_board_goes_back_to_is_not_written_over() -> None:
    on_trial, well = Slots(Slot.B, 9, 2), Slots(Slot.B, 3, 9)
    check_trial(well, Slot.B, IMAGE)
    check_trial(on_trial, Slot.B, None)
    with pytest.raises(GadgetipError, match="--force"):
        check_trial(on_trial, Slot.B, IMAGE)
