import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.usb import DescriptorType, Direction, Recipient, RequestType, SetupPacket


@given(st.binary(min_size=8, max_size=8))
def test_any_eight_bytes_survive_and_can_be_shown(data: bytes) -> None:
    packet = SetupPacket.unpack(data)
    assert packet.pack() == data
    assert str(packet).isprintable()
    assert packet.direction in Direction
    assert packet.type in RequestType
    assert packet.recipient in Recipient


@pytest.mark.parametrize("length", [0, 7, 9])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"of {length} bytes"):
        SetupPacket.unpack(bytes(length))


def test_our_own_fields_must_fit() -> None:
    with pytest.raises(LocalProtocolError, match="wValue=65536"):
        SetupPacket(0, 0, 0x10000, 0, 0)
    with pytest.raises(LocalProtocolError, match="does not fit"):
        SetupPacket.set_configuration(-1)


@pytest.mark.parametrize(
    ("packet", "data", "text"),
    [
        (
            SetupPacket.get_descriptor(DescriptorType.DEVICE, 0, 0, 18),
            "8006000100001200",
            "IN standard device GET_DESCRIPTOR DEVICE 0 wIndex=0x0000 wLength=18",
        ),
        (
            SetupPacket.get_descriptor(DescriptorType.STRING, 2, 0x0409, 255),
            "800602030904ff00",
            "IN standard device GET_DESCRIPTOR STRING 2 wIndex=0x0409 wLength=255",
        ),
        (
            SetupPacket.get_configuration(),
            "8008000000000100",
            "IN standard device GET_CONFIGURATION wValue=0x0000 wIndex=0x0000 wLength=1",
        ),
        (
            SetupPacket.set_configuration(1),
            "0009010000000000",
            "OUT standard device SET_CONFIGURATION wValue=0x0001 wIndex=0x0000 wLength=0",
        ),
        (
            SetupPacket.set_interface(1, 7),
            "010b070001000000",
            "OUT standard interface SET_INTERFACE wValue=0x0007 wIndex=0x0001 wLength=0",
        ),
        (
            SetupPacket.clear_halt(0x81),
            "0201000081000000",
            "OUT standard endpoint CLEAR_FEATURE ENDPOINT_HALT wIndex=0x0081 wLength=0",
        ),
        (
            SetupPacket.port_reset(),
            "2303040000000000",
            "OUT class other request 0x03 wValue=0x0004 wIndex=0x0000 wLength=0",
        ),
    ],
)
def test_what_we_send(packet: SetupPacket, data: str, text: str) -> None:
    assert packet.pack().hex() == data
    assert str(packet) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("210a000000000000", "OUT class interface request 0x0a"),
        ("0103000300000000", "OUT standard interface SET_FEATURE wValue=0x0300"),
        ("0103000000000000", "SET_FEATURE FUNCTION_SUSPEND"),
        ("8006004100000800", "GET_DESCRIPTOR wValue=0x4100"),
        ("e0ff000000000000", "IN reserved device request 0xff"),
        ("4401000000000000", "OUT vendor reserved request 0x01"),
        ("5f01000000000000", "OUT vendor vendor_specific request 0x01"),
    ],
)
def test_what_hosts_send_is_shown(data: str, text: str) -> None:
    assert text in str(SetupPacket.unpack(bytes.fromhex(data)))


def test_without_a_data_stage_there_is_no_direction() -> None:
    assert SetupPacket(0xC0, 1, 0, 0, 0).direction is Direction.IN
    assert SetupPacket(0xC0, 1, 0, 0, 0).data_direction is None
    assert SetupPacket(0xC0, 1, 0, 0, 1).data_direction is Direction.IN
    assert SetupPacket(0x40, 1, 0, 0, 1).data_direction is Direction.OUT
