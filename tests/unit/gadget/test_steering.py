"""What the kernel chooses, by its own rules, and how it is made to choose otherwise."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget.steering import (
    FILLER_MAX_PACKET,
    MAX_FILLERS_EACH,
    EndpointRequest,
    autoconfigure,
    claim_endpoints,
    steer,
)
from gadgetip.gadget.udc_models import (
    CHIPIDEA,
    DUMMY_HCD,
    DWC2_BCM2835,
    DWC3,
    MUSB_AM335X,
    UDC_MODELS,
    UNKNOWN_UDC,
    USBIP_VUDC,
    UdcModel,
)
from gadgetip.usb import Direction, Speed, TransferType

BULK, INTERRUPT, ISOCHRONOUS = (
    TransferType.BULK,
    TransferType.INTERRUPT,
    TransferType.ISOCHRONOUS,
)
LONGEST_S = 0.1
"""How long a search may take: somebody waits for the plan."""


def request(
    address: int, kind: TransferType = BULK, size: int = 64, largest: int = 0
) -> EndpointRequest:
    return EndpointRequest(Direction(address >> 7), kind, size, largest)


def wanted(*addresses: int, kind: TransferType = BULK) -> list[tuple[int, EndpointRequest]]:
    return [(address, request(address, kind)) for address in addresses]


@pytest.mark.parametrize(
    ("model", "kind", "ins", "outs"),
    [
        # dummy_hcd.c: fixed names first, then generic ones count from 1 again.
        (DUMMY_HCD, BULK, [1, 6, 11, 2, 1, 2, 3, 4, 5], [2, 7, 12, 1, 1, 2, 3, 4, 5, 6, 7, 8]),
        (DUMMY_HCD, INTERRUPT, [1, 5, 6, 10, 11, 15, 2, 1, 2, 3, 4, 5], [2, 7, 12, 1]),
        (USBIP_VUDC, BULK, list(range(1, 16)), list(range(1, 16))),
        (USBIP_VUDC, ISOCHRONOUS, list(range(1, 16)), list(range(1, 16))),
        (DWC2_BCM2835, BULK, list(range(1, 8)), list(range(1, 8))),
        (DWC2_BCM2835, ISOCHRONOUS, list(range(1, 8)), list(range(1, 8))),
        (MUSB_AM335X, BULK, [*range(1, 13), 13, 14, 15], list(range(1, 13))),
        (DWC3, INTERRUPT, list(range(1, 7)), list(range(1, 7))),
        (CHIPIDEA, BULK, list(range(1, 8)), list(range(1, 8))),
        # chipidea/udc.c, ci_udc_match_ep: isochronous IN from the highest endpoint.
        (CHIPIDEA, ISOCHRONOUS, list(range(7, 0, -1)), list(range(1, 8))),
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
    assert autoconfigure(DUMMY_HCD, [request(0x81, ISOCHRONOUS)]) == [None]
    assert autoconfigure(UNKNOWN_UDC, [request(0x81, TransferType.CONTROL)]) == [None]


def test_a_controller_without_high_speed_takes_smaller_packets() -> None:
    slow = replace(DWC2_BCM2835, max_speed=Speed.FULL)
    assert autoconfigure(slow, [request(0x81, INTERRUPT, 65)]) == [None]
    assert autoconfigure(slow, [request(0x81, ISOCHRONOUS, 1024)]) == [None]
    assert autoconfigure(slow, [request(0x81, ISOCHRONOUS, 1023)]) == [0x81]


def test_a_large_packet_finds_the_endpoint_that_has_room_for_it() -> None:
    # musb: 512 bytes everywhere, more on the last three, one direction at a time each.
    assert autoconfigure(MUSB_AM335X, [request(0x81, INTERRUPT, 1024)] * 4) == [
        0x8D,
        0x8E,
        0x8F,
        None,
    ]


def test_isochronous_and_others_meet_in_the_middle_of_chipidea() -> None:
    requests = [request(0x81, ISOCHRONOUS), request(0x81), request(0x81, ISOCHRONOUS)]
    assert autoconfigure(CHIPIDEA, requests) == [0x87, 0x81, 0x86]


def test_the_endpoint_behind_an_address_is_told() -> None:
    claims = claim_endpoints(DUMMY_HCD, [request(0x81)] * 5)
    assert [claim and claim.endpoint.name for claim in claims] == [
        "ep1in-bulk",
        "ep6in-bulk",
        "ep11in-bulk",
        "ep2in-bulk",
        "ep-bin",
    ]
    steering = steer(DUMMY_HCD, wanted(0x83))
    assert [endpoint and endpoint.name for endpoint in steering.endpoints] == ["ep-gin"]


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


def test_fillers_of_two_types_make_an_order_that_goes_down() -> None:
    # A CDC-ACM device: notifications on 2, data on 1.
    want = [(0x82, request(0x82, INTERRUPT)), *wanted(0x81, 0x01)]
    assert steer(DUMMY_HCD, want).addresses == (0x82, 0x81, 0x01)


def test_the_fewest_fillers_are_taken() -> None:
    assert len(steer(DWC2_BCM2835, wanted(0x82)).fillers) == 1
    assert len(steer(DWC2_BCM2835, wanted(0x83, 0x05)).fillers) == 2 + 4


def test_the_last_endpoint_is_reached() -> None:
    steering = steer(USBIP_VUDC, wanted(0x8F, 0x0F))
    assert steering.addresses == (0x8F, 0x0F)
    assert len(steering.fillers) == 2 * MAX_FILLERS_EACH


@pytest.mark.parametrize(
    ("addresses", "got"),
    [
        ((0x82, 0x81), (0x82, 0x83)),  # an order that the kernel does not go
        ((0x81, 0x83), (0x81, 0x82)),  # a gap that a filler in front does not make
        ((0x8F,), (0x81,)),  # more than the controller has
        ((0x83, 0x85, 0x01), (0x83, 0x84, 0x01)),
    ],
)
def test_where_not_all_can_be_right_as_many_as_possible_are(
    addresses: tuple[int, ...], got: tuple[int, ...]
) -> None:
    assert steer(DWC2_BCM2835, wanted(*addresses)).addresses == got


def test_a_direction_that_cannot_be_right_does_not_spoil_the_other() -> None:
    steering = steer(DWC2_BCM2835, wanted(0x83, 0x0F))
    assert steering.addresses == (0x83, 0x01)
    assert {filler.direction for filler in steering.fillers} == {Direction.IN}


def test_two_endpoints_do_not_get_one_address_where_that_can_be_helped() -> None:
    # Left alone, the fifth is generic and counted from 1, which is the first one's number.
    assert autoconfigure(DUMMY_HCD, [request(0x81)] * 5)[-1] == 0x81
    steering = steer(DUMMY_HCD, wanted(0x86, 0x87, 0x88, 0x89, 0x8A))
    assert steering.addresses == (0x81, 0x82, 0x83, 0x84, 0x85)


def test_nothing_is_made_up_where_there_are_too_few() -> None:
    steering = steer(DWC2_BCM2835, wanted(*range(0x81, 0x8A)))
    assert steering.addresses == (*range(0x81, 0x88), None, None)
    assert steering.endpoints[-2:] == (None, None)


def test_a_number_is_no_use_without_room_for_the_packets() -> None:
    # musb's endpoint 10 passes for 64 bytes at full speed and fails at high speed.
    assert steer(MUSB_AM335X, [(0x8A, request(0x8A))]).addresses == (0x8A,)
    steering = steer(MUSB_AM335X, [(0x8A, request(0x8A, largest=512))])
    assert steering.addresses == (0x81,)
    assert steering.endpoints[0] is not None
    assert steering.endpoints[0].max_packet >= 512


def test_endpoints_that_go_both_ways_are_judged_together() -> None:
    want = [(address, request(address, ISOCHRONOUS, 1023)) for address in (0x8D, 0x0D, 0x8E, 0x0E)]
    steering = steer(MUSB_AM335X, want)
    assert steering.addresses == (0x8D, 0x0E, 0x8F, None)


def test_large_fillers_pass_over_small_endpoints() -> None:
    steering = steer(MUSB_AM335X, [(0x8E, request(0x8E, ISOCHRONOUS, 1023))])
    assert steering.addresses == (0x8E,)
    assert steering.fillers == (EndpointRequest(Direction.IN, BULK, 1023),)


def test_isochronous_fillers_where_the_driver_picks_from_the_end() -> None:
    steering = steer(CHIPIDEA, [(0x85, request(0x85, ISOCHRONOUS))])
    assert steering.addresses == (0x85,)
    assert steering.fillers == (EndpointRequest(Direction.IN, ISOCHRONOUS, FILLER_MAX_PACKET),) * 2
    for model in UDC_MODELS:
        if model is not CHIPIDEA:
            fillers = steer(model, [(0x85, request(0x85, ISOCHRONOUS))]).fillers
            assert all(filler.transfer_type is BULK for filler in fillers)


def test_without_fillers() -> None:
    assert steer(UNKNOWN_UDC, wanted(0x82, 0x01), max_fillers=0).addresses == (0x81, 0x01)


def test_of_nothing() -> None:
    assert steer(UNKNOWN_UDC, []).addresses == ()


models = st.sampled_from([*UDC_MODELS, UNKNOWN_UDC])
requests = st.builds(
    EndpointRequest,
    st.sampled_from(Direction),
    st.sampled_from([BULK, INTERRUPT, ISOCHRONOUS]),
    st.sampled_from([8, 64, 512, 1024]),
)
wishes = st.lists(
    st.tuples(st.integers(1, 15), requests).map(
        lambda pair: (pair[0] | pair[1].direction << 7, pair[1])
    ),
    max_size=15,
    unique_by=lambda pair: pair[0],
)


@given(models, st.lists(requests, max_size=40))
def test_no_endpoint_is_given_twice(model: UdcModel, asked: list[EndpointRequest]) -> None:
    claims = claim_endpoints(model, asked)
    names = [claim.endpoint.name for claim in claims if claim]
    assert len(set(names)) == len(names)
    for each, claim in zip(asked, claims, strict=True):
        if claim:
            assert each.direction in claim.endpoint.directions
            assert claim.address >> 7 == each.direction
            assert 1 <= claim.address & 0x0F <= 15
            assert claim.endpoint.number in {None, claim.address & 0x0F}
    assert autoconfigure(model, asked) == [claim and claim.address for claim in claims]


@given(models, wishes, st.integers(0, MAX_FILLERS_EACH))
def test_what_is_promised_is_what_the_kernel_does(
    model: UdcModel, asked: list[tuple[int, EndpointRequest]], most: int
) -> None:
    steering = steer(model, asked, max_fillers=most)
    claims = claim_endpoints(model, [*steering.fillers, *(r for _, r in asked)])
    real = claims[len(steering.fillers) :]
    assert None not in claims[: len(steering.fillers)]
    assert tuple(claim and claim.address for claim in real) == steering.addresses
    assert tuple(claim and claim.endpoint for claim in real) == steering.endpoints
    for direction in Direction:
        assert sum(filler.direction is direction for filler in steering.fillers) <= most


@given(models, wishes)
def test_steering_is_never_worse_than_leaving_it_alone(
    model: UdcModel, asked: list[tuple[int, EndpointRequest]]
) -> None:
    plain = autoconfigure(model, [r for _, r in asked])
    steered = list(steer(model, asked).addresses)
    assert steered.count(None) <= plain.count(None)
    if None not in plain:
        assert len(set(steered)) >= len(set(plain))


@given(models, st.lists(requests, max_size=15))
def test_what_was_autoconfigured_here_needs_no_fillers(
    model: UdcModel, asked: list[EndpointRequest]
) -> None:
    addresses = autoconfigure(model, asked)
    if None in addresses or len(set(addresses)) < len(addresses):
        return
    device = [(a, r) for a, r in zip(addresses, asked, strict=True) if a is not None]
    steering = steer(model, device)
    assert steering.fillers == ()
    assert steering.addresses == tuple(addresses)


@pytest.mark.parametrize("model", [*UDC_MODELS, UNKNOWN_UDC], ids=lambda model: model.name)
def test_the_search_is_quick(model: UdcModel) -> None:
    kinds = [BULK, INTERRUPT, ISOCHRONOUS]
    hopeless = [
        (address, request(address, kinds[address % 3], (8, 64, 512, 1024)[address % 4]))
        for number in range(15, 0, -1)
        for address in (number, number | 0x80)
    ]
    began = time.process_time()
    steer(model, hopeless)
    assert time.process_time() - began < LONGEST_S
