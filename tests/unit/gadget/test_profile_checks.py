"""Wishes of a profile that a device cannot have, and wishes that change nothing."""

import pytest

from gadgetip.gadget import Plan, Severity
from gadgetip.gadget.udc_models import USBIP_VUDC
from gadgetip.profiles import EndpointWish, InterfaceWish
from gadgetip.usb import DeviceTree

from .devices import HS_STICK, configuration, device, endpoint, interface
from .planning import REBUILT, plan, texts, wishing

STORAGE = (8, 6, 0x50)
VENDOR = device(configuration(interface(0, 2), endpoint(0x81), endpoint(0x02)))
UAS = (8, 6, 0x62)


def wanting(tree: DeviceTree, *wishes: EndpointWish) -> Plan:
    return plan(tree, USBIP_VUDC, REBUILT, profile=wishing(endpoints=wishes))


def ignored(made: Plan) -> list[str]:
    return [text for text in texts(made, Severity.INFO) if "the profile is ignored here" in text]


# --- wishes that change nothing ---------------------------------------------------------------


def test_no_wishes_are_no_surprise() -> None:
    assert ignored(plan(HS_STICK)) == []
    wishes = wishing(InterfaceWish(0), endpoints=(EndpointWish(0x81, window_urbs=2),))
    assert ignored(plan(HS_STICK, profile=wishes)) == []


def test_parts_that_the_device_does_not_have() -> None:
    wishes = wishing(InterfaceWish(3, drop=True), endpoints=(EndpointWish(0x85, window_urbs=2),))
    assert ignored(plan(HS_STICK, profile=wishes)) == [
        "interface 3: the profile is ignored here: the device has none of this number",
        "endpoint 0x85: the profile is ignored here: the device has none of this address",
    ]


def test_a_part_of_a_setting_that_is_left_out_is_one_that_the_device_has() -> None:
    parts = [interface(0, 0), interface(0, 1, alternate=1), endpoint(0x81)]
    wishes = wishing(endpoints=(EndpointWish(0x81, window_urbs=2),), backend="functionfs")
    assert ignored(plan(device(configuration(*parts)), profile=wishes)) == []


@pytest.mark.parametrize(("kind", "said"), [(2, True), (3, False)])
def test_an_interval_is_for_interrupt_endpoints(kind: int, said: bool) -> None:
    tree = device(configuration(interface(0, 1), endpoint(0x81, kind, 512, 4)))
    made = wanting(tree, EndpointWish(0x81, interval_us=1000))
    assert bool(ignored(made)) is said
    assert made.refusals == ()


# --- shapers that cannot be had ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("shaper", "said"),
    [
        ("bot", "bot takes one endpoint each way of an interface"),
        ("uas", "uas takes four endpoints with pipe usage descriptors"),
    ],
)
def test_a_shaper_of_several_endpoints_takes_them_all(shaper: str, said: str) -> None:
    (refusal,) = wanting(VENDOR, EndpointWish(0x02, shaper=shaper)).refusals
    assert str(refusal) == f"endpoint 0x02: the shaper {shaper} cannot be had: {said}"


def test_bulk_only_may_be_chosen_for_a_pair_of_any_class() -> None:
    wishes = (EndpointWish(0x81, shaper="bot"), EndpointWish(0x02, shaper="bot"))
    assert wanting(VENDOR, *wishes).refusals == ()


def test_a_pair_is_of_one_interface() -> None:
    parts = [interface(0, 1), endpoint(0x81), interface(1, 1), endpoint(0x02)]
    tree = device(configuration(*parts, interfaces=2))
    wishes = (EndpointWish(0x81, shaper="bot"), EndpointWish(0x02, shaper="bot"))
    refused = [refusal.subject for refusal in wanting(tree, *wishes).refusals]
    assert refused == ["endpoint 0x81", "endpoint 0x02"]


def test_two_of_a_direction_are_no_pair() -> None:
    tree = device(configuration(interface(0, 2), endpoint(0x81), endpoint(0x82)))
    wishes = (EndpointWish(0x81, shaper="bot"), EndpointWish(0x82, shaper="bot"))
    assert len(wanting(tree, *wishes).refusals) == 1


@pytest.mark.parametrize("shaper", ["bot", "uas"])
def test_interrupt_endpoints_carry_no_storage(shaper: str) -> None:
    parts = [interface(0, 2, STORAGE), endpoint(0x81, 3, 64, 4), endpoint(0x02)]
    wishes = (EndpointWish(0x81, shaper=shaper), EndpointWish(0x02, shaper=shaper))
    refused = texts(wanting(device(configuration(*parts)), *wishes), Severity.REFUSED)
    assert f"endpoint 0x81: the shaper {shaper} cannot be had: {shaper} is for bulk endpoints" in (
        refused
    )


@pytest.mark.parametrize(("pipes", "can"), [((3, 4, 2, 1), True), ((3, 4, 2, 2), False)])
def test_uas_takes_four_pipes(pipes: tuple[int, ...], can: bool) -> None:
    parts = [interface(0, 4, UAS)]
    addresses = (0x81, 0x02, 0x83, 0x04)
    for address, pipe in zip(addresses, pipes, strict=True):
        parts += [endpoint(address), bytes((4, 0x24, pipe, 0))]
    wishes = [EndpointWish(address, shaper="uas") for address in addresses]
    refused = texts(wanting(device(configuration(*parts)), *wishes), Severity.REFUSED)
    assert any("cannot be had" in text for text in refused) is not can
