"""Which endpoints are live."""

from hypothesis import given
from hypothesis import strategies as st

from gadgetip.server.userspace.endpoints import read_configurations
from gadgetip.usb import TransferType

DEVICE = bytes([18, 1]) + bytes(15) + bytes([2])


def configuration(value: int, *descriptors: bytes) -> bytes:
    body = b"".join(descriptors)
    total = (9 + len(body)).to_bytes(2, "little")
    return bytes([9, 2]) + total + bytes([1, value, 0, 0x80, 50]) + body


def interface(number: int, alternate: int = 0) -> bytes:
    return bytes([9, 4, number, alternate, 0, 0xFF, 0, 0, 0])


def endpoint(address: int, attributes: int) -> bytes:
    return bytes([7, 5, address, attributes, 64, 0, 1])


TWO = DEVICE + configuration(
    1,
    interface(0),
    endpoint(0x81, 2),
    endpoint(0x02, 2),
    interface(1),
    interface(1, 1),
    bytes([7, 0x24, 1, 2, 3, 4, 5]),
    endpoint(0x83, 1 | 0b0100),
    bytes([9, 5, 0x04, 3, 8, 0, 1, 0, 0]),  # an audio class 1.0 endpoint has nine bytes
)


def test_alternate_settings_decide() -> None:
    found = read_configurations(TWO + configuration(2, interface(0), endpoint(0x85, 3)))
    assert set(found) == {1, 2}
    first = found[1]
    bulk = {0x81: TransferType.BULK, 0x02: TransferType.BULK}
    assert first.endpoints({}) == bulk
    assert first.endpoints({1: 1}) == {
        **bulk,
        0x83: TransferType.ISOCHRONOUS,
        0x04: TransferType.INTERRUPT,
    }
    assert first.endpoints({1: 7}) == bulk
    assert found[2].endpoints({}) == {0x85: TransferType.INTERRUPT}


def test_odd_descriptors_end_the_reading_and_nothing_else() -> None:
    assert read_configurations(b"") == {}
    assert read_configurations(DEVICE) == {}
    assert read_configurations(DEVICE + bytes(9)) == {}
    cut = read_configurations(TWO[:-8])
    assert cut[1].endpoints({1: 1})[0x83] is TransferType.ISOCHRONOUS
    stuck = read_configurations(DEVICE + configuration(1, interface(0), bytes(30)))
    assert stuck[1].endpoints({}) == {}


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for found in (read_configurations(data), read_configurations(DEVICE + data)):
        for each in found.values():
            assert all(address & 0x0F for address in each.endpoints({}))
