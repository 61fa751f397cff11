"""One endpoint at another speed, against the specification's numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget.speed_conversion import endpoint_at, urb_interval
from gadgetip.usb import Endpoint, EndpointDescriptor, Speed, TransferType

SPEEDS = [Speed.LOW, Speed.FULL, Speed.HIGH, Speed.SUPER, Speed.SUPER_PLUS]


def make(kind: TransferType, size: int, interval: int = 0, address: int = 0x81) -> Endpoint:
    return Endpoint(
        EndpointDescriptor.new(
            bEndpointAddress=address, bmAttributes=kind, wMaxPacketSize=size, bInterval=interval
        )
    )


@pytest.mark.parametrize(
    ("from_speed", "to_speed", "size", "expected"),
    [
        (Speed.FULL, Speed.FULL, 16, 16),
        (Speed.FULL, Speed.HIGH, 16, 512),
        (Speed.HIGH, Speed.FULL, 512, 64),
        (Speed.HIGH, Speed.HIGH, 512, 512),
        (Speed.SUPER, Speed.HIGH, 1024, 512),
        (Speed.SUPER, Speed.FULL, 1024, 64),
        (Speed.SUPER_PLUS, Speed.SUPER, 1024, 1024),
        (Speed.HIGH, Speed.SUPER, 512, 1024),
    ],
)
def test_bulk(from_speed: Speed, to_speed: Speed, size: int, expected: int) -> None:
    converted = endpoint_at(make(TransferType.BULK, size, 7), from_speed, to_speed)
    assert converted.wMaxPacketSize == expected
    assert converted.bInterval == 7
    assert converted.bEndpointAddress == 0x81


@pytest.mark.parametrize(
    ("from_speed", "to_speed", "size", "interval", "expected"),
    [
        (Speed.LOW, Speed.FULL, 8, 10, (8, 10)),
        (Speed.FULL, Speed.HIGH, 64, 1, (64, 4)),  # 1 ms is 2^3 microframes
        (Speed.FULL, Speed.HIGH, 8, 10, (8, 7)),  # 80 microframes: 64, the next faster
        (Speed.FULL, Speed.HIGH, 8, 255, (8, 11)),
        (Speed.FULL, Speed.HIGH, 8, 0, (8, 4)),  # 0 is no interval: as 1
        (Speed.HIGH, Speed.FULL, 1024, 4, (64, 1)),
        (Speed.HIGH, Speed.FULL, 16, 1, (16, 1)),  # 125 us: as fast as it can
        (Speed.HIGH, Speed.FULL, 16, 11, (16, 128)),
        (Speed.HIGH, Speed.FULL, 16, 16, (16, 255)),
        (Speed.HIGH, Speed.FULL, 16, 255, (16, 255)),
        (Speed.HIGH, Speed.FULL, 0x1400, 4, (64, 1)),  # three packets a microframe
        (Speed.SUPER, Speed.HIGH, 1024, 8, (1024, 8)),
        (Speed.HIGH, Speed.HIGH, 0x1400, 4, (0x1400, 4)),
    ],
)
def test_interrupt(
    from_speed: Speed, to_speed: Speed, size: int, interval: int, expected: tuple[int, int]
) -> None:
    endpoint = make(TransferType.INTERRUPT, size, interval)
    converted = endpoint_at(endpoint, from_speed, to_speed)
    assert (converted.wMaxPacketSize, converted.bInterval) == expected


@given(
    st.sampled_from(SPEEDS),
    st.sampled_from(SPEEDS[1:4]),
    st.sampled_from([TransferType.BULK, TransferType.INTERRUPT]),
    st.integers(1, 1024),
    st.integers(0, 255),
)
def test_what_comes_out_is_legal(
    from_speed: Speed, to_speed: Speed, kind: TransferType, size: int, interval: int
) -> None:
    converted = endpoint_at(make(kind, size, interval), from_speed, to_speed)
    if from_speed is to_speed:
        return
    if kind is TransferType.INTERRUPT:
        assert 1 <= converted.max_packet <= (64 if to_speed is Speed.FULL else 1024) or (
            from_speed >= Speed.HIGH and to_speed >= Speed.HIGH
        )
        if (from_speed >= Speed.HIGH) != (to_speed >= Speed.HIGH):
            assert 1 <= converted.bInterval <= (255 if to_speed is Speed.FULL else 16)
    elif (from_speed, to_speed) != (Speed.LOW, Speed.FULL):
        legal = {Speed.FULL: 64, Speed.HIGH: 512, Speed.SUPER: 1024}[to_speed]
        same = (from_speed, to_speed) == (Speed.SUPER_PLUS, Speed.SUPER)
        assert converted.max_packet == (size if same else legal)


@pytest.mark.parametrize(
    ("kind", "speed", "interval", "expected"),
    [
        (TransferType.BULK, Speed.HIGH, 9, 0),
        (TransferType.CONTROL, Speed.FULL, 9, 0),
        (TransferType.INTERRUPT, Speed.LOW, 10, 10),
        (TransferType.INTERRUPT, Speed.FULL, 10, 10),
        (TransferType.INTERRUPT, Speed.FULL, 0, 1),
        (TransferType.INTERRUPT, Speed.HIGH, 4, 8),
        (TransferType.INTERRUPT, Speed.HIGH, 0, 1),
        (TransferType.INTERRUPT, Speed.SUPER, 16, 32768),
        (TransferType.INTERRUPT, Speed.HIGH, 255, 32768),
        (TransferType.ISOCHRONOUS, Speed.FULL, 1, 1),
    ],
)
def test_the_interval_of_a_urb(
    kind: TransferType, speed: Speed, interval: int, expected: int
) -> None:
    assert urb_interval(make(kind, 64, interval).descriptor, speed) == expected
