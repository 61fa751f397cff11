"""Which control requests the stub does itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.server.userspace.requests import (
    ClearHalt,
    ResetPort,
    SetConfiguration,
    SetInterface,
    Special,
    special_request,
)
from gadgetip.usb import SetupPacket


@pytest.mark.parametrize(
    ("setup", "special"),
    [
        (SetupPacket.clear_halt(0x81), ClearHalt(0x81)),
        (SetupPacket.clear_halt(0x02), ClearHalt(0x02)),
        (SetupPacket.set_interface(3, 1), SetInterface(3, 1)),
        (SetupPacket.set_configuration(2), SetConfiguration(2)),
        (SetupPacket.set_configuration(0), SetConfiguration(0)),
        (SetupPacket.port_reset(), ResetPort()),
        (SetupPacket(0x23, 3, 4, 7, 0), ResetPort()),  # the port's number does not matter
    ],
)
def test_done_here(setup: SetupPacket, special: Special) -> None:
    assert special_request(setup.pack()) == special


@pytest.mark.parametrize(
    "setup",
    [
        SetupPacket.get_configuration(),
        SetupPacket.get_descriptor(1),
        SetupPacket(0x02, 1, 1, 0x81, 0),  # another feature of an endpoint
        SetupPacket(0x02, 3, 0, 0x81, 0),  # SET_FEATURE(ENDPOINT_HALT) is the device's
        SetupPacket(0x23, 3, 8, 1, 0),  # another feature of a port
        SetupPacket(0x21, 11, 0, 0, 0),  # a class's request 11
        SetupPacket(0x40, 9, 1, 0, 0),  # a vendor's request 9
    ],
)
def test_passed_on(setup: SetupPacket) -> None:
    assert special_request(setup.pack()) is None


@given(st.binary(min_size=8, max_size=8))
def test_any_eight_bytes(setup: bytes) -> None:
    special_request(setup)
