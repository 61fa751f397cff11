"""What fits into a controller's memory, and the sentence where something does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget.fifo import (
    EndpointWish,
    check_fifo,
    endpoint_problem,
    shared_endpoint_problems,
    tx_fifo_problems,
)
from gadgetip.gadget.udc_models import (
    DUMMY_HCD,
    DWC2_BCM2835,
    MUSB_AM335X,
    USBIP_VUDC,
    UdcEndpoint,
    UdcModel,
)
from gadgetip.usb import Direction, Speed, TransferType

BULK, INTERRUPT, ISOCHRONOUS = (
    TransferType.BULK,
    TransferType.INTERRUPT,
    TransferType.ISOCHRONOUS,
)


def named(model: UdcModel, name: str) -> UdcEndpoint:
    return next(endpoint for endpoint in model.endpoints if endpoint.name == name)


def wish(address: int, kind: TransferType, size: int, transactions: int = 1) -> EndpointWish:
    return EndpointWish(address, kind, size, transactions)


def test_a_wish_reads_its_address() -> None:
    each = wish(0x8A, ISOCHRONOUS, 1024, 3)
    assert (each.direction, each.number, each.microframe_bytes) == (Direction.IN, 10, 3072)
    assert str(each) == "endpoint 0x8a"


def test_what_autoconfiguration_took_for_full_speed_fails_at_high_speed() -> None:
    ep10 = named(MUSB_AM335X, "ep10in")
    assert check_fifo(MUSB_AM335X, [(ep10, wish(0x8A, BULK, 64))], Speed.FULL) == ()
    assert check_fifo(MUSB_AM335X, [(ep10, wish(0x8A, BULK, 512))], Speed.HIGH) == (
        (
            "endpoint 0x8a: its packets have 512 bytes at high speed, "
            "ep10in of musb-am335x has room for 256"
        ),
    )


@pytest.mark.parametrize(
    ("name", "transactions", "fits"),
    [
        ("ep13", 1, True),
        ("ep13", 3, True),
        ("ep13", 4, True),
        ("ep14", 1, True),
        ("ep14", 2, False),
    ],
)
def test_musb_has_room_for_a_microframe_in_the_fifo(
    name: str, transactions: int, *, fits: bool
) -> None:
    problem = endpoint_problem(
        MUSB_AM335X,
        named(MUSB_AM335X, name),
        wish(0x8D, ISOCHRONOUS, 1024, transactions),
        Speed.HIGH,
    )
    assert (not problem) is fits
    if not fits:
        assert problem == (
            "endpoint 0x8d: 2 packets of 1024 bytes a microframe, "
            "ep14 of musb-am335x has room for 1024 bytes"
        )


def test_an_endpoint_goes_one_way_at_a_time() -> None:
    ep13 = named(MUSB_AM335X, "ep13")
    both = [(ep13, wish(0x8D, BULK, 512)), (ep13, wish(0x0D, BULK, 512))]
    assert check_fifo(MUSB_AM335X, both, Speed.HIGH) == shared_endpoint_problems(both)
    assert shared_endpoint_problems(both) == (
        "endpoints 0x0d and 0x8d would share ep13, which is one endpoint, one way at a time",
    )
    assert shared_endpoint_problems(both[:1] * 2) == ()


@pytest.mark.parametrize(
    ("name", "each", "text"),
    [
        ("ep1in-bulk", wish(0x01, BULK, 512), "does not go OUT"),
        ("ep5in-int", wish(0x81, BULK, 512), "carries no bulk transfers"),
        ("ep-bin", wish(0x81, ISOCHRONOUS, 512), "carries no isochronous transfers"),
        ("ep-bin", wish(0x81, TransferType.CONTROL, 64), "carries no control transfers"),
        ("ep1in-bulk", wish(0x81, INTERRUPT, 64), ""),
        ("ep-bin", wish(0x81, INTERRUPT, 64), ""),
    ],
)
def test_ways_and_types(name: str, each: EndpointWish, text: str) -> None:
    problem = endpoint_problem(DUMMY_HCD, named(DUMMY_HCD, name), each, Speed.HIGH)
    assert text in problem
    assert bool(problem) is bool(text)


@pytest.mark.parametrize(
    ("kind", "size", "speed", "fits"),
    [
        # As `dummy_enable` checks it.
        (BULK, 512, Speed.HIGH, True),
        (BULK, 64, Speed.HIGH, False),
        (BULK, 64, Speed.FULL, True),
        (BULK, 48, Speed.FULL, False),
        (BULK, 1024, Speed.SUPER, True),
        (BULK, 512, Speed.SUPER, False),
        (INTERRUPT, 1024, Speed.HIGH, True),
        (INTERRUPT, 1025, Speed.HIGH, False),
        (INTERRUPT, 64, Speed.FULL, True),
        (INTERRUPT, 65, Speed.FULL, False),
        (INTERRUPT, 8, Speed.LOW, True),
        (BULK, 512, Speed.UNKNOWN, True),
        (BULK, 1024, Speed.SUPER_PLUS, True),
    ],
)
def test_a_controller_that_insists_on_the_specification(
    kind: TransferType, size: int, speed: Speed, *, fits: bool
) -> None:
    each = wish(0x81, kind, size)
    assert (not endpoint_problem(DUMMY_HCD, named(DUMMY_HCD, "ep-bin"), each, speed)) is fits
    assert not endpoint_problem(DUMMY_HCD, named(DUMMY_HCD, "ep-bin"), each)
    assert not endpoint_problem(USBIP_VUDC, named(USBIP_VUDC, "ep1in"), each, speed)


def test_seven_ordinary_in_endpoints_fit_into_dwc2() -> None:
    assert tx_fifo_problems(DWC2_BCM2835, [512] * 7) == ()
    assert tx_fifo_problems(DWC2_BCM2835, [1024] * 7) == ()


def test_the_sentence_counts_fifos() -> None:
    assert tx_fifo_problems(DWC2_BCM2835, [3072, 64]) == (
        (
            "IN endpoints that need 3072 bytes of FIFO or more: "
            "the device has 1, dwc2-bcm2835 has room for 0"
        ),
    )
    assert tx_fifo_problems(DWC2_BCM2835, [2048] * 6) == (
        (
            "IN endpoints that need 2048 bytes of FIFO or more: "
            "the device has 6, dwc2-bcm2835 has room for 5"
        ),
    )
    assert tx_fifo_problems(DWC2_BCM2835, [8] * 8) == (
        (
            "IN endpoints that need 8 bytes of FIFO or more: "
            "the device has 8, dwc2-bcm2835 has room for 7"
        ),
    )
    assert tx_fifo_problems(MUSB_AM335X, [4096] * 20) == ()


def test_out_endpoints_need_no_tx_fifo() -> None:
    chosen = [
        (endpoint, wish(endpoint.number or 0, ISOCHRONOUS, 1024, 3))
        for endpoint in DWC2_BCM2835.endpoints
        if Direction.OUT in endpoint.directions
    ]
    assert check_fifo(DWC2_BCM2835, chosen, Speed.HIGH) == ()


def best_fit(fifos: list[int], needs: list[int]) -> bool:
    """As dwc2/gadget.c:4158-4193: each takes the smallest free one that is large enough."""
    free = list(fifos)
    for need in needs:
        fitting = [fifo for fifo in free if fifo >= need]
        if not fitting:
            return False
        free.remove(min(fitting))
    return True


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=7),
    st.lists(st.integers(1, 9), max_size=8),
)
def test_the_count_says_what_the_kernel_would_find_in_any_order(
    fifos: list[int], needs: list[int]
) -> None:
    model = replace(DWC2_BCM2835, tx_fifos=tuple(fifos))
    fits = not tx_fifo_problems(model, needs)
    assert fits is best_fit(fifos, needs)
    assert fits is best_fit(fifos, sorted(needs))
    assert fits is best_fit(fifos, sorted(needs, reverse=True))
