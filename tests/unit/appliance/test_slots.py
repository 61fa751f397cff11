"""An update that goes wrong, wherever it does, leaves a board that boots."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.slots import (
    CONFIRMED,
    TRIES,
    Slot,
    Slots,
    after_writing,
    before_writing,
    format_slots,
    is_confirmed,
    next_boot,
    parse_slots,
    when_healthy,
)

any_slots = st.builds(Slots, st.sampled_from(Slot), st.integers(0, 9), st.integers(0, 9))


def boots(slots: Slots, good: set[Slot]) -> tuple[Slot, Slots]:
    """Start the board until a slot becomes healthy; those that are not `good` never do."""
    for _ in range(20):
        running, slots = next_boot(slots)
        if running in good:
            return running, when_healthy(slots, running)
    pytest.fail("it does not come up")


@given(any_slots, st.sampled_from(Slot))
def test_one_good_slot_is_found_and_in_the_end_for_good(slots: Slots, good: Slot) -> None:
    for _ in range(3):
        running, slots = boots(slots, {good})
        assert running is good
    assert next_boot(slots)[0] is good


@pytest.mark.parametrize("short", range(1, CONFIRMED + 2 * TRIES))
def test_power_that_is_cut_again_and_again_costs_no_update(short: int) -> None:
    """B is confirmed; then the board is never on for long enough to be found well."""
    state = when_healthy(Slots(Slot.B, CONFIRMED, 2), Slot.B)
    assert state == Slots(Slot.B, TRIES, CONFIRMED)
    ran = []
    for _ in range(short):
        running, state = next_boot(state)
        ran.append(running)
    assert ran[:CONFIRMED] == [Slot.B] * min(short, CONFIRMED)
    stayed = when_healthy(state, ran[-1])
    assert is_confirmed(stayed, ran[-1])
    assert next_boot(stayed)[0] is Slot.B


def test_a_confirmed_system_that_broke_gives_way_for_good() -> None:
    state, ran = Slots(Slot.B, TRIES, CONFIRMED), ""
    for _ in range(16):
        running, state = next_boot(state)
        ran += running
        if running is Slot.A:
            state = when_healthy(state, running)
    assert ran == "BBBBBBBBBABBBAAA"


def test_an_update_that_cannot_be_loaded_gives_way_for_good() -> None:
    """The boot script starts the other one then, whose tries it leaves as they are."""
    written = after_writing(Slots(Slot.A, CONFIRMED, 0), Slot.A)
    assert is_confirmed(written, Slot.A)
    _, state = next_boot(written)
    assert not is_confirmed(state, Slot.A)
    assert when_healthy(state, Slot.A) == Slots(Slot.A, CONFIRMED, TRIES - 1)


@given(any_slots, st.sampled_from(Slot))
def test_a_good_update_is_taken(slots: Slots, running: Slot) -> None:
    written = after_writing(before_writing(slots, running), running)
    now, after = boots(written, {Slot.A, Slot.B})
    assert now is running.other
    assert next_boot(after)[0] is running.other


@given(any_slots, st.sampled_from(Slot))
def test_a_bad_update_is_tried_three_times_and_given_up_for_good(
    slots: Slots, running: Slot
) -> None:
    slots = when_healthy(replace(slots, preferred=running), running)
    slots = after_writing(before_writing(slots, running), running)
    tried = []
    for _ in range(TRIES + 1):
        slot, slots = next_boot(slots)
        tried.append(slot)
    assert tried == [running.other] * TRIES + [running]
    assert next_boot(when_healthy(slots, running))[0] is running


@given(any_slots, st.sampled_from(Slot))
def test_power_lost_while_writing(slots: Slots, running: Slot) -> None:
    """What is half written never boots, while there are tries of the other."""
    slots = before_writing(slots, running)
    for _ in range(TRIES):
        slot, slots = next_boot(slots)
        assert slot is running


@given(any_slots)
def test_variables(slots: Slots) -> None:
    assert parse_slots(format_slots(slots)) == slots


@pytest.mark.parametrize(
    "change",
    [{"BOOT_ORDER": "A"}, {"BOOT_ORDER": "A A"}, {"BOOT_A_LEFT": ""}, {"BOOT_B_LEFT": "-1"}],
)
def test_variables_that_make_no_sense(change: dict[str, str]) -> None:
    assert parse_slots({**format_slots(Slots()), **change}) is None
    assert parse_slots({}) is None


@given(st.dictionaries(st.sampled_from([*format_slots(Slots())]), st.text(max_size=3)))
def test_any_variables(variables: dict[str, str]) -> None:
    slots = parse_slots(variables)
    assert slots is None or format_slots(slots) == variables
