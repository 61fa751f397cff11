"""An identity and a speed that the profile asks for."""

from dataclasses import replace

import pytest

from gadgetip.gadget import Plan, Severity
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC3, MUSB_AM335X
from gadgetip.profiles import IdentityWishes
from gadgetip.usb import DeviceTree, Speed, StringTable

from .devices import (
    DEVICE,
    FS_STICK,
    HS_STICK,
    KEYBOARD_LS,
    UAS_STICK,
    configuration,
    device,
    interface,
    stick,
    strings,
)
from .planning import STOCK, only, plan, texts, wishing

INFO, DEGRADED = Severity.INFO, Severity.DEGRADED
FORMS = {"functionfs": STOCK[:1], "gadgetfs": STOCK[1:]}


def said(wishes: IdentityWishes, backend: str, tree: DeviceTree = HS_STICK) -> Plan:
    made = plan(tree, backends=FORMS[backend], profile=wishing(identity=wishes))
    assert made.refusals == ()
    return made


@pytest.mark.parametrize("backend", sorted(FORMS))
def test_ids_and_versions(backend: str) -> None:
    made = said(IdentityWishes(idVendor=0x1209, idProduct=1, bcdDevice=0x0200), backend)
    identity = made.identity
    assert (identity.idVendor, identity.idProduct, identity.bcdDevice) == (0x1209, 1, 0x0200)
    assert made.device_descriptor[8:14] == bytes.fromhex("091201000002")
    asked = [text for text in texts(made, INFO) if text.endswith("as the profile asks")]
    assert asked == [
        "idVendor: 0x1209, as the profile asks",
        "idProduct: 0x0001, as the profile asks",
        "bcdDevice: 0x0200, as the profile asks",
    ]


def test_texts_on_functionfs_are_the_kernels() -> None:
    made = said(IdentityWishes(serialnumber="BENCH-7"), "functionfs")
    assert made.identity.strings[0x0409]["serialnumber"] == "BENCH-7"
    assert made.identity.strings[0x0409]["product"] == "Ultra"
    assert made.own_strings == {}


def test_texts_on_gadgetfs_are_answered_by_the_replica() -> None:
    tree = device(stick(), texts=strings({1: "m", 2: "p", 3: "s"}, (0x0407, 0x0409)))
    made = said(IdentityWishes(serialnumber="BENCH-7"), "gadgetfs", tree)
    assert made.own_strings == {(3, 0x0407): "BENCH-7", (3, 0x0409): "BENCH-7"}
    assert 'serialnumber: "BENCH-7", as the profile asks' in texts(made, INFO)
    assert said(IdentityWishes(), "gadgetfs").own_strings == {}


def test_a_text_that_the_device_has_none_of_gets_an_index_of_its_own() -> None:
    first = bytearray(interface(0, 0))
    first[8] = 4  # named, and never given
    silent = DEVICE.replace(iManufacturer=0, iProduct=2, iSerialNumber=0)
    tree = device(configuration(bytes(first)), descriptor=silent, texts=strings({2: "p", 1: "x"}))
    made = said(IdentityWishes(manufacturer="M", serialnumber="S"), "gadgetfs", tree)
    assert made.own_strings == {(3, 0x0409): "M", (5, 0x0409): "S"}
    assert made.device_descriptor[14:17] == bytes((3, 2, 5))


def test_where_the_device_uses_the_last_index() -> None:
    tree = device(
        stick(),
        descriptor=DEVICE.replace(iProduct=255, iSerialNumber=0),
        texts=strings({1: "m", 255: "p"}),
    )
    made = said(IdentityWishes(serialnumber="S"), "gadgetfs", tree)
    assert made.own_strings == {(2, 0x0409): "S"}


def test_no_index_left() -> None:
    tree = device(
        stick(),
        descriptor=DEVICE.replace(iSerialNumber=0),
        texts=strings(dict.fromkeys(range(1, 256), "x")),
    )
    made = said(IdentityWishes(serialnumber="S"), "gadgetfs", tree)
    assert made.own_strings == {}
    assert texts(made, DEGRADED) == ["serialnumber: all 255 string indices are taken"]


def test_a_device_without_strings_gets_a_language_too() -> None:
    silent = DEVICE.replace(iManufacturer=0, iProduct=0, iSerialNumber=0)
    tree = device(stick(), descriptor=silent, texts=StringTable())
    made = said(IdentityWishes(product="thing"), "gadgetfs", tree)
    assert made.own_strings == {(1, 0x0409): "thing"}
    assert said(IdentityWishes(product="thing"), "functionfs", tree).identity.strings == {
        0x0409: {"product": "thing"}
    }


@pytest.mark.parametrize("backend", sorted(FORMS))
@pytest.mark.parametrize(("wanted", "shown"), [(500, 500), (100, 100), (2, 2), (501, 500)])
def test_power(backend: str, wanted: int, shown: int) -> None:
    made = said(IdentityWishes(max_power_ma=wanted), backend)
    assert only(made).max_power_ma == shown
    if backend == "gadgetfs":
        assert only(made).data[Speed.HIGH][8] == shown // 2
    assert f"bMaxPower: {wanted} mA, as the profile asks" in texts(made, INFO)


def test_more_power_than_can_be_said() -> None:
    made = said(IdentityWishes(max_power_ma=5000), "gadgetfs")
    assert only(made).data[Speed.HIGH][8] == 255
    assert "bMaxPower" in {deviation.subject for deviation in made.with_severity(DEGRADED)}


# --- speed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "speed", "told"),
    [
        (Speed.FULL, Speed.FULL, True),
        (Speed.HIGH, Speed.HIGH, False),
        (Speed.SUPER, Speed.HIGH, False),
        (Speed.SUPER_PLUS, Speed.HIGH, False),
        (Speed.LOW, Speed.FULL, True),
        (Speed.WIRELESS, Speed.HIGH, False),
    ],
)
def test_a_cap_on_the_speed(cap: Speed, speed: Speed, told: bool) -> None:
    made = plan(HS_STICK, profile=wishing(max_speed=cap))
    assert made.speed is speed
    assert texts(made, INFO) == (["speed: 12 Mbit/s, as the profile asks"] if told else [])
    assert made.refusals == ()


def test_a_superspeed_device_may_be_capped() -> None:
    made = plan(UAS_STICK, DWC3, profile=wishing(max_speed=Speed.HIGH, backend="functionfs"))
    assert made.speed is Speed.HIGH
    assert "speed: 480 Mbit/s, as the profile asks" in texts(made, INFO)


def test_a_cap_that_the_controller_does_not_know() -> None:
    made = plan(HS_STICK, MUSB_AM335X, profile=wishing(max_speed=Speed.FULL))
    assert made.speed is Speed.HIGH
    assert any("cannot be capped below high speed" in text for text in texts(made, DEGRADED))


@pytest.mark.parametrize("tree", [FS_STICK, KEYBOARD_LS])
def test_a_cap_above_the_device_changes_nothing(tree: DeviceTree) -> None:
    made = plan(tree, DUMMY_HCD, profile=wishing(max_speed=Speed.HIGH))
    assert replace(made, profile="generic") == plan(tree)
