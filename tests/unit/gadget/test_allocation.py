"""Endpoints chosen by name: which file stands behind which address, and when there is none."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget.allocation import EndpointWish, allocate_by_address
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
Setting = list[EndpointWish]


def bulk(*addresses: int, size: int = 512) -> Setting:
    return [EndpointWish(address, BULK, size) for address in addresses]


def interrupt(*addresses: int, size: int = 64) -> Setting:
    return [EndpointWish(address, INTERRUPT, size) for address in addresses]


def isochronous(*addresses: int, size: int = 1024, transactions: int = 1) -> Setting:
    return [EndpointWish(address, ISOCHRONOUS, size, transactions) for address in addresses]


@pytest.mark.parametrize("model", [DWC2_BCM2835, DWC3, CHIPIDEA, MUSB_AM335X, USBIP_VUDC])
def test_the_file_has_the_number_of_the_address(model: UdcModel) -> None:
    allocation = allocate_by_address(model, [[interrupt(0x83)], [bulk(0x81, 0x02)]])
    assert allocation.problems == ()
    assert allocation.files == {
        (0, 0, 0x83): "ep3in",
        (1, 0, 0x81): "ep1in",
        (1, 0, 0x02): "ep2out",
    }


def test_on_dummy_hcd_any_capable_file_will_do() -> None:
    # A CDC-ACM device whose numbers dummy_hcd does not have like this.
    settings = [[interrupt(0x82, size=16)], [bulk(0x81, 0x03)]]
    allocation = allocate_by_address(DUMMY_HCD, settings, Speed.HIGH)
    assert allocation.problems == ()
    assert set(allocation.files) == {(0, 0, 0x82), (1, 0, 0x81), (1, 0, 0x03)}
    assert allocation.files[1, 0, 0x81] == "ep1in-bulk"
    assert "int" not in allocation.files[1, 0, 0x03]
    assert "out" in allocation.files[1, 0, 0x03]


def test_dummy_hcd_is_used_to_the_last_endpoint() -> None:
    # Nine files can be bulk IN, and interrupt endpoints must leave them alone then.
    full = [[interrupt(0x81, 0x82, 0x83)], [bulk(*range(0x84, 0x8D))], [bulk(*range(1, 13))]]
    allocation = allocate_by_address(DUMMY_HCD, full, Speed.HIGH)
    assert allocation.problems == ()
    assert sorted(allocation.files.values()) == sorted(e.name for e in DUMMY_HCD.endpoints)


def test_too_many_endpoints_are_counted() -> None:
    allocation = allocate_by_address(DUMMY_HCD, [[bulk(*range(0x81, 0x8B))]])
    assert allocation.problems == (
        "the device has 10 IN endpoints, dummy_hcd has room for 9 of them",
    )
    allocation = allocate_by_address(DWC2_BCM2835, [[bulk(*range(0x81, 0x8A), 0x01)]])
    assert allocation.problems[0] == (
        "the device has 9 IN endpoints, dwc2-bcm2835 has room for 7 of them"
    )


def test_a_number_that_the_controller_does_not_have() -> None:
    allocation = allocate_by_address(DWC2_BCM2835, [[bulk(0x88, 0x01)]])
    assert allocation.problems == ("endpoint 0x88: the IN endpoints of dwc2-bcm2835 are 1 to 7",)
    assert allocation.files == {(0, 0, 0x01): "ep1out"}


def test_one_address_in_several_settings_is_one_file() -> None:
    settings = [[[], bulk(0x84, 0x04, size=64), bulk(0x84, 0x04, size=512)]]
    for model in UDC_MODELS:
        allocation = allocate_by_address(model, settings)
        assert allocation.problems == ()
        assert allocation.files[0, 1, 0x84] == allocation.files[0, 2, 0x84]
        assert allocation.files[0, 1, 0x04] == allocation.files[0, 2, 0x04]


def test_a_file_does_for_every_type_that_its_address_has() -> None:
    allocation = allocate_by_address(DUMMY_HCD, [[interrupt(0x85), bulk(0x85)]])
    assert allocation.problems == ()
    assert allocation.files[0, 0, 0x85] == allocation.files[0, 1, 0x85]
    assert "int" not in allocation.files[0, 0, 0x85]


def test_settings_share_where_there_are_too_few_files() -> None:
    settings = [[bulk(*range(0x81, 0x86)), bulk(*range(0x86, 0x8B))]]
    allocation = allocate_by_address(DUMMY_HCD, settings)
    assert allocation.problems == ()
    for setting in (0, 1):
        names = [name for key, name in allocation.files.items() if key[1] == setting]
        assert len(set(names)) == len(names) == 5


def test_interfaces_do_not_share() -> None:
    settings = [[bulk(*range(0x81, 0x86))], [bulk(*range(0x86, 0x8B))]]
    assert allocate_by_address(DUMMY_HCD, settings).problems == (
        "the device has 10 IN endpoints, dummy_hcd has room for 9 of them",
    )


def test_an_address_belongs_to_one_interface() -> None:
    for model in (DUMMY_HCD, DWC2_BCM2835):
        allocation = allocate_by_address(model, [[bulk(0x81)], [[], bulk(0x81)]])
        assert "endpoint 0x81 belongs to two interfaces at the same time" in allocation.problems


def test_isochronous_endpoints_where_none_move() -> None:
    settings = [[interrupt(0x83)], [[], isochronous(0x81), isochronous(0x81, transactions=3)]]
    for model in (DUMMY_HCD, USBIP_VUDC):
        allocation = allocate_by_address(model, settings)
        assert allocation.problems == ()
        assert allocation.unserved == ((1, 1, 0x81), (1, 2, 0x81))
        assert set(allocation.files) == {(0, 0, 0x83)}
    allocation = allocate_by_address(CHIPIDEA, settings)
    assert allocation.unserved == ()
    assert allocation.files[1, 2, 0x81] == "ep1in"


def test_a_webcam_on_dwc2_wants_more_fifo_than_there_is() -> None:
    settings = [[interrupt(0x83)], [[], isochronous(0x81, transactions=3)]]
    assert allocate_by_address(DWC2_BCM2835, settings).problems == (
        (
            "IN endpoints that need 3072 bytes of FIFO or more: "
            "the device has 1, dwc2-bcm2835 has room for 0"
        ),
    )
    settings = [[interrupt(0x83)], [[], isochronous(0x81, transactions=2)]]
    assert allocate_by_address(DWC2_BCM2835, settings).problems == ()


def test_fifos_are_counted_over_interfaces_and_not_over_settings() -> None:
    two = isochronous(0x81, 0x82, transactions=2)
    assert allocate_by_address(DWC2_BCM2835, [[[], two, two, two]]).problems == ()
    three = [[isochronous(2 * n + 0x81, 2 * n + 0x82, transactions=2)] for n in range(3)]
    assert allocate_by_address(DWC2_BCM2835, three).problems == (
        (
            "IN endpoints that need 2048 bytes of FIFO or more: "
            "the device has 6, dwc2-bcm2835 has room for 5"
        ),
    )


def test_what_musbs_endpoints_are_too_small_for() -> None:
    assert allocate_by_address(MUSB_AM335X, [[bulk(0x8A)]]).problems == (
        "endpoint 0x8a: its packets have 512 bytes, ep10in of musb-am335x has room for 256",
    )
    assert allocate_by_address(MUSB_AM335X, [[bulk(0x8D)]]).files == {(0, 0, 0x8D): "ep13"}


def test_musbs_shared_endpoints_go_one_way_at_a_time() -> None:
    sentence = "endpoints 0x0d and 0x8d would share ep13, which is one endpoint, one way at a time"
    assert allocate_by_address(MUSB_AM335X, [[bulk(0x8D, 0x0D)]]).problems == (sentence,)
    assert allocate_by_address(MUSB_AM335X, [[bulk(0x8D)], [bulk(0x0D)]]).problems == (sentence,)
    in_turn = allocate_by_address(MUSB_AM335X, [[bulk(0x8D), bulk(0x0D)]])
    assert in_turn.problems == ()
    assert set(in_turn.files.values()) == {"ep13"}


def test_sizes_are_checked_at_the_speed_that_is_named() -> None:
    odd = [[bulk(0x81, size=64)]]
    assert allocate_by_address(DUMMY_HCD, odd, Speed.FULL).problems == ()
    assert allocate_by_address(DUMMY_HCD, odd).problems == ()
    assert allocate_by_address(DUMMY_HCD, odd, Speed.HIGH).problems == (
        "endpoint 0x81: bulk packets of 64 bytes at high speed, dummy_hcd enables 512",
    )


def test_a_control_endpoint_is_nobodys() -> None:
    wish = EndpointWish(0x81, TransferType.CONTROL, 64)
    for model in UDC_MODELS:
        (problem,) = allocate_by_address(model, [[[wish]]]).problems
        assert problem.endswith("carries no control transfers")


def test_of_nothing() -> None:
    assert allocate_by_address(UNKNOWN_UDC, []).files == {}
    assert allocate_by_address(UNKNOWN_UDC, [[[]], []]).problems == ()


wishes = st.lists(
    st.builds(
        EndpointWish,
        st.integers(1, 15).flatmap(lambda n: st.sampled_from([n, n | 0x80])),
        st.sampled_from([BULK, INTERRUPT, ISOCHRONOUS]),
        st.sampled_from([8, 64, 512, 1024]),
        st.integers(1, 3),
    ),
    max_size=8,
    unique_by=lambda wish: wish.address,
)


@given(
    st.sampled_from([*UDC_MODELS, UNKNOWN_UDC]),
    st.lists(st.lists(wishes, min_size=1, max_size=3), max_size=4),
    st.sampled_from([None, Speed.FULL, Speed.HIGH]),
)
def test_a_complete_allocation_is_sound(
    model: UdcModel, settings: list[list[Setting]], speed: Speed | None
) -> None:
    allocation = allocate_by_address(model, settings, speed)
    asked = {
        (i, s, wish.address): wish
        for i, alternates in enumerate(settings)
        for s, endpoints in enumerate(alternates)
        for wish in endpoints
    }
    assert not set(allocation.files) & set(allocation.unserved)
    assert set(allocation.files) | set(allocation.unserved) <= set(asked)
    if allocation.problems:
        return
    assert set(allocation.files) | set(allocation.unserved) == set(asked)
    endpoints = {endpoint.name: endpoint for endpoint in model.endpoints}
    users = defaultdict(set)
    for (interface, setting, address), name in allocation.files.items():
        wish = asked[interface, setting, address]
        assert wish.direction in endpoints[name].directions
        assert endpoints[name].takes(wish.transfer_type)
        assert wish.max_packet <= endpoints[name].max_packet
        if not model.matches_by_descriptor:
            assert endpoints[name].number == address & 0x0F
        users[name].add((interface, setting, address))
    for keys in users.values():
        assert len({interface for interface, _, _ in keys}) == 1, "interfaces are simultaneous"
        assert len({setting for _, setting, _ in keys}) == len(keys), "one at a time"


@given(st.lists(st.integers(0x81, 0x8F), unique=True), st.lists(st.integers(1, 15), unique=True))
def test_usbip_vudc_has_everything(ins: list[int], outs: list[int]) -> None:
    allocation = allocate_by_address(USBIP_VUDC, [[bulk(*ins)], [interrupt(*outs)]])
    assert allocation.problems == ()
    assert all(
        name == f"ep{address & 0x0F}{'in' if Direction(address >> 7) else 'out'}"
        for (_, _, address), name in allocation.files.items()
    )
