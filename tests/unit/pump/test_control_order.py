import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.pump.control_order import cancels, fence_limits
from gadgetip.usb import Direction, SetupPacket

CANCELLING = [
    SetupPacket.clear_halt(0x81),
    SetupPacket.port_reset(),
    SetupPacket(0x21, 0xFF, 0, 2, 0),  # Bulk-Only Mass Storage Reset
    SetupPacket(0x21, 0x64, 0, 0, 6),  # PTP: Cancel Request
    SetupPacket(0x21, 0x66, 0, 0, 0),  # PTP: Device Reset Request
]


@pytest.mark.parametrize("setup", CANCELLING, ids=str)
def test_what_cancels_does_not_wait(setup: SetupPacket) -> None:
    assert cancels(setup)
    assert fence_limits(setup) == (0, 0)


@pytest.mark.parametrize(
    "setup",
    [
        SetupPacket.set_configuration(1),
        SetupPacket.set_interface(0, 1),
        SetupPacket(0x00, 0x01, 1, 0, 0),  # CLEAR_FEATURE of remote wakeup
        SetupPacket(0x02, 0x03, 0, 0x81, 0),  # SET_FEATURE(ENDPOINT_HALT)
        SetupPacket(0x21, 0x09, 0x200, 0, 2),  # SET_REPORT
        SetupPacket(0x21, 0x64, 0, 0, 0),  # of the length of no Cancel Request
        SetupPacket(0x40, 0x66, 0, 0, 0),  # a vendor's
        SetupPacket(0x41, 0xFF, 0, 0, 0),
    ],
    ids=str,
)
def test_what_changes_something_waits(setup: SetupPacket) -> None:
    at_most, idle = fence_limits(setup)
    assert at_most > idle > 0


def test_what_asks_waits_briefly_or_not() -> None:
    changed = fence_limits(SetupPacket.set_configuration(1))
    for asked in (SetupPacket(0xC0, 0x05, 0, 0, 2), SetupPacket(0xA1, 0x05, 0, 0, 2)):
        assert 0 < fence_limits(asked)[0] < changed[1]
    assert fence_limits(SetupPacket.get_descriptor(1)) == (0, 0)


@given(
    st.builds(
        SetupPacket,
        st.integers(0, 0xFF),
        st.integers(0, 0xFF),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
    )
)
def test_every_request_has_limits(setup: SetupPacket) -> None:
    at_most, idle = fence_limits(setup)
    assert 0 <= idle <= at_most <= 5
    if cancels(setup):
        assert setup.direction is Direction.OUT
