"""An update that goes wrong, wherever it does, leaves a board that boots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.slots import (
    TRIES,
    Slot,
    Slots,
    after_writing,
    before_writing,
    format_slots,
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
def test_one_good_slot_is_found(slots: Slots, good: Slot) -> None:
    running, after = boots(slots, {good})
    assert running is good
    assert next_boot(after)[0] is good


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
