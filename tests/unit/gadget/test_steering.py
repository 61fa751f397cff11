"""What the kernel chooses, by its own rules, and how it is made to choose otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget.steering import (
    FILLER_MAX_PACKET,
    MAX_FILLERS_EACH,
    EndpointRequest,
    autoconfigure,
    steer,
)
from gadgetip.gadget.udc_models import (
    DUMMY_HCD,
    DWC2_BCM2835,
    MUSB_AM335X,
    UDC_MODELS,
    UNKNOWN_UDC,
    USBIP_VUDC,
    UdcModel,
)
from gadgetip.usb import Direction, TransferType

BULK, INTERRUPT = TransferType.BULK, TransferType.INTERRUPT


def request(address: int, kind: TransferType = BULK, size: int = 64) -> EndpointRequest:
    return EndpointRequest(Direction.IN if address & 0x80 else Direction.OUT, kind, size)


def wanted(*addresses: int, kind: TransferType = BULK) -> list[tuple[int, EndpointRequest]]:
    return [(address, request(address, kind)) for address in addresses]


@pytest.mark.parametrize(
    ("model", "kind", "ins", "outs"),
    [
        # dummy_hcd.c: fixed names first, then generic ones count from 1 again.
        (DUMMY_HCD, BULK, [1, 6, 11, 2, 1, 2, 3, 4, 5], [2, 7, 12, 1, 1, 2, 3, 4, 5, 6, 7, 8]),
        (DUMMY_HCD, INTERRUPT, [1, 5, 6, 10, 11, 15, 2, 1, 2, 3, 4, 5], [2, 7, 12, 1]),
        (USBIP_VUDC, BULK, list(range(1, 16)), list(range(1, 16))),
        (DWC2_BCM2835, BULK, list(range(1, 8)), list(range(1, 8))),
        (MUSB_AM335X, BULK, [*range(1, 13), 13, 14, 15], list(range(1, 13))),
    ],
)
def test_the_kernels_own_choice(
    model: UdcModel, kind: TransferType, ins: list[int], outs: list[int]
) -> None:
    requests = [request(0x80, kind)] * len(ins) + [request(0x00, kind)] * len(outs)
    assert autoconfigure(model, requests) == [0x80 | n for n in ins] + outs


def test_what_does_not_fit_gets_nothing() -> None:
    assert autoconfigure(DWC2_BCM2835, [request(0x81)] * 9)[-2:] == [None, None]
    assert autoconfigure(DWC2_BCM2835, [request(0x81, size=1025)]) == [None]
    assert autoconfigure(DUMMY_HCD, [request(0x81, TransferType.ISOCHRONOUS)]) == [None]


def test_a_large_packet_finds_the_endpoint_that_has_room_for_it() -> None:
    # musb: 512 bytes everywhere, more on the last three, one direction at a time each.
    assert autoconfigure(MUSB_AM335X, [request(0x81, INTERRUPT, 1024)] * 4) == [
        0x8D,
        0x8E,
        0x8F,
        None,
    ]


@pytest.mark.parametrize("model", UDC_MODELS)
def test_a_stick_is_itself_everywhere(model: UdcModel) -> None:
    steering = steer(model, wanted(0x81, 0x02))
    assert steering.addresses == (0x81, 0x02)


def test_nothing_is_burnt_where_the_order_does_it() -> None:
    assert steer(DWC2_BCM2835, wanted(0x81, 0x01, 0x82, 0x02)).fillers == ()
    assert steer(DUMMY_HCD, wanted(0x81, 0x02)).fillers == ()
    # In the order of the descriptors, not of the numbers.
    assert steer(DWC2_BCM2835, wanted(0x01, 0x81)).fillers == ()


def test_fillers_on_dummy_hcd() -> None:
    steering = steer(DUMMY_HCD, wanted(0x83, 0x02))
    assert steering.addresses == (0x83, 0x02)
    # Four fixed bulk IN endpoints and two generic ones stand before generic IN number 3.
    assert steering.fillers == (EndpointRequest(Direction.IN, BULK, FILLER_MAX_PACKET),) * 6


def test_the_fewest_fillers_are_taken() -> None:
    assert len(steer(DWC2_BCM2835, wanted(0x82)).fillers) == 1
    assert len(steer(DWC2_BCM2835, wanted(0x83, 0x05)).fillers) == 2 + 4


@pytest.mark.parametrize(
    "addresses",
    [
        (0x82, 0x81),  # an order that the kernel does not go
        (0x81, 0x83),  # a gap that a filler in front does not make
        (0x8F,),  # more than the controller has
    ],
)
def test_where_nothing_helps_the_plain_choice_is_told(addresses: tuple[int, ...]) -> None:
    steering = steer(DWC2_BCM2835, wanted(*addresses))
    assert steering.fillers == ()
    assert steering.addresses == tuple(0x81 + n for n in range(len(addresses)))


def test_without_fillers() -> None:
    assert steer(UNKNOWN_UDC, wanted(0x82, 0x01), max_fillers=0).addresses == (0x81, 0x01)


requests = st.builds(
    lambda number, is_in, kind: (number | 0x80 * is_in, kind),
    st.integers(1, 15),
    st.booleans(),
    st.sampled_from([BULK, INTERRUPT]),
)


@given(
    st.sampled_from([*UDC_MODELS, UNKNOWN_UDC]),
    st.lists(requests, max_size=3, unique_by=lambda each: each[0]),
)
def test_what_is_promised_is_what_the_kernel_does(
    model: UdcModel, asked: list[tuple[int, TransferType]]
) -> None:
    want = [(address, request(address, kind)) for address, kind in asked]
    steering = steer(model, want, max_fillers=3)
    got = autoconfigure(model, [*steering.fillers, *(r for _, r in want)])
    assert tuple(got[len(steering.fillers) :]) == steering.addresses
    assert None not in got[: len(steering.fillers)]
    if steering.fillers:
        assert steering.addresses == tuple(address for address, _ in asked)


def test_the_number_of_fillers_is_bounded() -> None:
    assert MAX_FILLERS_EACH >= 6, "dummy_hcd needs six for IN 3"
    assert steer(USBIP_VUDC, wanted(0x8F)).addresses == (0x81,)
