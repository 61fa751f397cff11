"""Which running attachment is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.attachment.running import Running
from gadgetip.bench.choosing import choose_running, names_of
from gadgetip.errors import GadgetipError, UsageError

STICK = Running(
    41, 1, 1.0, "gadget", "nas", "0781:*", busid="1-3", udc="dummy_udc.0", supervised="stick"
)
KEYS = Running(42, 1, 1.0, "vhci", "nas", "class=03", busid="1-4", port=3)
AWAITED = Running(43, 1, 1.0, "gadget", "far", "1-9", udc="dummy_udc.1", supervised="printer")


@pytest.mark.parametrize("name", ["stick", "dummy_udc.0", "1-3", "0781:*", "41"])
def test_by_any_of_its_names(name: str) -> None:
    assert choose_running([STICK, KEYS, AWAITED], name) is STICK


def test_the_only_one_that_has_its_device_needs_no_name() -> None:
    assert choose_running([AWAITED, KEYS], None) is KEYS


def test_several() -> None:
    with pytest.raises(UsageError, match=r"2 attachments are meant.*stick \(1-3 of nas, gadget\)"):
        choose_running([STICK, KEYS], None)


@pytest.mark.parametrize("name", [None, "printer", "dummy_udc.1"])
def test_one_that_waits(name: str | None) -> None:
    with pytest.raises(GadgetipError, match="waits for its device"):
        choose_running([AWAITED], name)


def test_none() -> None:
    with pytest.raises(GadgetipError, match="nothing that can be watched"):
        choose_running([], None)
    with pytest.raises(GadgetipError, match="nothing that can be watched"):
        choose_running([], "stick")
    with pytest.raises(GadgetipError, match="moon is not attached here; attached: stick"):
        choose_running([STICK], "moon")


@given(st.sets(st.sampled_from([STICK, KEYS, AWAITED])), st.none() | st.text(max_size=3))
def test_what_is_chosen_has_its_device_and_the_name(
    running: set[Running], name: str | None
) -> None:
    try:
        chosen = choose_running(list(running), name)
    except GadgetipError:
        assert len(running) != 1 or name is not None or AWAITED in running
    else:
        assert chosen.busid is not None
        assert name is None or name in names_of(chosen)
