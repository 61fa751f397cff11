from dataclasses import replace

import pytest

from gadgetip.errors import GadgetipError
from gadgetip.matching import DeviceSelector
from gadgetip.server.bindings import Binding, Bindings
from gadgetip.server.choosing import (
    BoundDevice,
    all_bound,
    choose_bound,
    choose_device,
    describe_local,
    published_names,
)
from gadgetip.server.policy import parse_policy

from .local_devices import HUB, KEYBOARD, STICK, stick

OTHER = stick("1-3", "5D64", product="Blade")
DEVICES = [STICK, HUB, KEYBOARD, OTHER]
MARK = Binding("0781:5581", "4C53", "1-1")
GONE = Binding("0483:5740", None, "1-7")


@pytest.mark.parametrize(
    ("text", "busid"),
    [
        ("1-1", "1-1"),
        ("046d:c31c", "1-2.1"),
        ("046D:*", "1-2.1"),
        ("serial=5D*", "1-3"),
        ("name=*Ultra", "1-1"),
        ("name=SanDisk Blade", "1-3"),
        ("class=03", "1-2.1"),
        ("keys", "1-2.1"),
        ("1-2", "1-2"),
    ],
)
def test_what_is_meant(text: str, busid: str) -> None:
    chosen = choose_device(DeviceSelector.parse(text), DEVICES, {"keys": "1-2.1", "1-1": "1-3"})
    assert chosen.busid == busid


def test_what_several_match() -> None:
    with pytest.raises(GadgetipError) as error:
        choose_device(DeviceSelector.parse("0781:5581"), DEVICES)
    assert str(error.value) == (
        "0781:5581 matches 2 devices here: 1-1 (0781:5581, serial 4C53, SanDisk Ultra); "
        "1-3 (0781:5581, serial 5D64, SanDisk Blade). Name one by its bus id"
    )
    with pytest.raises(GadgetipError, match=r"matches 40 devices here: .*; and 24 more\. Name"):
        choose_device(
            DeviceSelector.parse("0781:5581"), [stick(f"1-{number}") for number in range(40)]
        )


def test_what_nothing_matches() -> None:
    with pytest.raises(GadgetipError) as error:
        choose_device(DeviceSelector.parse("1-9"), DEVICES)
    assert str(error.value).startswith("no device here matches 1-9. Plugged in: 1-1 (0781:5581, ")
    assert "1-2 (" not in str(error.value)  # a hub
    with pytest.raises(GadgetipError, match="Nothing is plugged in but hubs"):
        choose_device(DeviceSelector.parse("1-9"), [HUB])


def test_what_is_bound() -> None:
    taken = replace(KEYBOARD, driver="usbip-host")
    bound = all_bound([STICK, HUB, taken, OTHER], Bindings((MARK, GONE)))
    assert bound == (
        BoundDevice(STICK, (MARK,)),
        BoundDevice(taken, ()),
        BoundDevice(None, (GONE,)),
    )
    by_port = Binding("0781:5581", None, "1-1")
    assert all_bound(DEVICES, Bindings((MARK, by_port))) == (BoundDevice(STICK, (MARK, by_port)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-1", BoundDevice(STICK, (MARK,))),
        ("0781:5581", BoundDevice(STICK, (MARK,))),  # the other stick is not bound
        ("stick", BoundDevice(STICK, (MARK,))),
        ("0483:5740", BoundDevice(None, (GONE,))),
        ("1-7", BoundDevice(None, (GONE,))),
        ("1-3", None),
        ("class=03", None),
        ("name=x", None),
        ("1-9", None),
    ],
)
def test_what_may_be_unbound(text: str, expected: BoundDevice | None) -> None:
    bindings = Bindings((MARK, GONE))
    chosen = choose_bound(DeviceSelector.parse(text), DEVICES, bindings, {"stick": "1-1"})
    assert chosen == expected


def test_a_device_that_is_gone_is_found_by_what_its_mark_holds() -> None:
    for text in ("serial=4C53", "serial=4C*", "0781:5581", "1-1"):
        found = choose_bound(DeviceSelector.parse(text), [KEYBOARD], Bindings((MARK,)))
        assert found == BoundDevice(None, (MARK,))
        assert str(found) == "0781:5581 serial=4C53 (not plugged in)"


def test_several_that_are_bound() -> None:
    bindings = Bindings((MARK, Binding("0781:5581", "5D64", "1-3"), Binding("0781:5581", "6E")))
    with pytest.raises(GadgetipError, match=r"matches 3 devices here: 1-1 .*; 1-3 .*serial=6E"):
        choose_bound(DeviceSelector.parse("0781:5581"), DEVICES, bindings)


def test_names_that_the_policy_publishes() -> None:
    policy = parse_policy(
        'schema = "policy/1"\n'
        '[[export]]\nname = "keys"\npublish_as = "keys"\nwhen = "bound"\n'
        'match = { class = "03/*/*" }\n',
        "p.toml",
    )
    assert published_names(DEVICES, policy) == {"keys": "1-2.1"}


def test_how_devices_are_described() -> None:
    nameless = replace(KEYBOARD, product=None, vendor_name="Logitech, Inc.", product_name="K120")
    assert describe_local(nameless) == "1-2.1 (046d:c31c, Logitech, Inc. K120)"
    assert describe_local(replace(nameless, vendor_name=None, product_name=None)) == (
        "1-2.1 (046d:c31c)"
    )
