"""A class that the profile asks for: the host sees it, and nothing else changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.gadget import Deviation, Severity
from gadgetip.gadget.class_overrides import override_classes, own_classes
from gadgetip.profiles import InterfaceWish
from gadgetip.pump import Shaping
from gadgetip.usb import DeviceTree, Speed, parse_configuration

from .devices import HS_STICK, UAS_STICK, configuration, device, endpoint, interface
from .planning import STOCK, only, plan, texts, wishing
from .plausible import plausible_devices

VENDOR = (0xFF, 0, 0)
FORMS = {"functionfs": STOCK[:1], "gadgetfs": STOCK[1:]}
AS_VENDOR = wishing(InterfaceWish(0, class_triple=VENDOR))


def classes(data: bytes) -> list[tuple[int, int, int]]:
    return [each.descriptor.class_triple for each in parse_configuration(data).settings]


def test_the_host_sees_it_on_gadgetfs() -> None:
    made = plan(HS_STICK, backends=FORMS["gadgetfs"], profile=AS_VENDOR)
    assert all(classes(data) == [VENDOR] for data in only(made).data.values())
    assert "interface 0: class ff/00/00 instead of 08/06/50, as the profile asks" in texts(
        made, Severity.INFO
    )


def test_the_host_sees_it_on_functionfs() -> None:
    made = plan(
        HS_STICK,
        backends=FORMS["functionfs"],
        profile=AS_VENDOR,
    )
    first = only(made).descriptors[Speed.HIGH][0]
    assert first.data[5:8] == bytes(VENDOR)


@pytest.mark.parametrize("backend", sorted(FORMS))
def test_the_shaper_is_that_of_the_devices_own_class(backend: str) -> None:
    made = plan(HS_STICK, backends=FORMS[backend], profile=AS_VENDOR)
    assert made.refusals == ()
    assert {each.shaping for each in only(made).routes[Speed.HIGH]} == {Shaping.BOT}


def test_another_class_does_not_bring_another_shaper() -> None:
    data = configuration(interface(0, 2), endpoint(0x81), endpoint(0x02))
    made = plan(device(data), profile=wishing(InterfaceWish(0, class_triple=(8, 6, 0x50))))
    assert {each.shaping for each in only(made).routes[Speed.HIGH]} == {Shaping.PACKET}


def test_a_frozen_setting_is_cut_as_the_device_has_it() -> None:
    wish = InterfaceWish(0, alternate_setting=1, class_triple=VENDOR)
    made = plan(UAS_STICK, profile=wishing(wish, max_speed=Speed.HIGH, backend="functionfs"))
    assert {each.shaping for each in only(made).routes[Speed.HIGH]} == {Shaping.UAS}
    assert {each.alternate for each in only(made).routes[Speed.HIGH]} == {0}


def test_the_devices_own_class_changes_nothing() -> None:
    wish = InterfaceWish(0, class_triple=(8, 6, 0x50))
    said: list[Deviation] = []
    assert override_classes(HS_STICK, wishing(wish), said) == HS_STICK
    assert said == []


def test_an_interface_that_is_not_there_is_said() -> None:
    made = plan(HS_STICK, profile=wishing(InterfaceWish(7, class_triple=VENDOR)))
    assert any("the device has none of this number" in text for text in texts(made, Severity.INFO))


@given(plausible_devices(), st.integers(0, 4))
def test_only_this_interfaces_class_changes(tree: DeviceTree, number: int) -> None:
    changed = override_classes(tree, wishing(InterfaceWish(number, class_triple=VENDOR)), [])
    for before, after in zip(tree.configurations, changed.configurations, strict=True):
        expected = {
            key: VENDOR if key[0] == number else own for key, own in own_classes(before).items()
        }
        assert own_classes(after) == expected
        for old, new in zip(before.settings, after.settings, strict=True):
            assert (old.extra, old.endpoints) == (new.extra, new.endpoints)
