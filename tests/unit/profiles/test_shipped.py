"""The shipped profiles: each fits its family, nothing else, and makes no device worse."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.gadget import Plan, make_plan
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC2_BCM2835, UdcModel
from gadgetip.matching import DeviceFacts, Match, facts_of_tree
from gadgetip.profiles import GENERIC, Profile, choose_profile, profile_files
from gadgetip.usb import DeviceTree, Speed
from tests.emulated.devices import DEVICES
from tests.unit.gadget.devices import (
    CAMERA,
    DEVICE,
    FS_STICK,
    HS_STICK,
    KEYBOARD_LS,
    UAS_STICK,
    configuration,
    device,
    emulated,
    endpoint,
    interface,
    strings,
)
from tests.unit.gadget.planning import REBUILT, STOCK
from tests.unit.gadget.plausible import plausible_devices

from .real_devices import REAL_DEVICES, RealDevice

NOBODYS = Path("/nowhere")
SHIPPED = {each.name: each.load() for each in profile_files(None)}
HOLDING = {"mass-storage", "keyboard-mouse", "serial-adapters", "cdc"}


def chosen(facts: DeviceFacts) -> Profile:
    return choose_profile("auto", facts, NOBODYS)


@pytest.mark.parametrize("real", REAL_DEVICES, ids=lambda real: real.what)
def test_real_devices(real: RealDevice) -> None:
    assert chosen(real.facts).name == real.profile


def test_every_profile_is_some_real_devices() -> None:
    assert {real.profile for real in REAL_DEVICES} == set(SHIPPED)


CLASSES = sorted(
    {triple for real in REAL_DEVICES for triple in real.classes.split()}
    | {f"{number:02x}/00/00" for number in range(0x14)}
    | {"02/08/00", "08/01/50", "0e/03/00", "dc/01/01", "e0/02/01", "ef/05/00", "ff/5d/02"}
)
NAMES = ["", "Ultra", "FIDO2 Security Key", "U2F"]


def _ids(matches: tuple[Match, ...]) -> list[str]:
    return [text.replace("*", "0001") for match in matches for text in match.ids]


IDS = ["1209:0001", *(text for profile in SHIPPED.values() for text in _ids(profile.matches))]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(IDS),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(CLASSES), min_size=1, max_size=5, unique=True),
)
def test_no_two_fit_one_device_equally_well(id_: str, name: str, classes: list[str]) -> None:
    chosen(DeviceFacts("1-1", id_, "", (name,), tuple(classes)))  # a tie would raise


def test_who_holds_what() -> None:
    for name, profile in SHIPPED.items():
        link = profile.link
        expected = ("hold", 10) if name in HOLDING else ("unplug", 0)
        assert (link.on_loss, link.hold_s) == expected, name


FULL, HIGH = Speed.FULL, Speed.HIGH
PRINTER = device(configuration(interface(0, 2, (7, 1, 2)), endpoint(1), endpoint(0x81)))
CCID = b"\x36\x21\x10\x01" + bytes(50)
SMART_CARD = device(
    configuration(
        interface(0, 3, (0x0B, 0, 0)), CCID, endpoint(1), endpoint(0x82), endpoint(0x83, 3, 8, 4)
    )
)
HID = bytes.fromhex("092111010001222200")
FIDO = device(
    configuration(
        interface(0, 2, (3, 0, 0)), HID, endpoint(0x84, 3, 64, 5), endpoint(0x04, 3, 64, 5)
    ),
    speed=FULL,
    texts=strings({1: "Somebody", 2: "FIDO2 Security Key"}),
)
PHONE = device(
    configuration(
        interface(0, 3, (6, 1, 1)), endpoint(0x81), endpoint(0x01), endpoint(0x82, 3, 28, 6)
    )
)
UNION = bytes.fromhex("0524001001 0524060001")
ECM = device(
    configuration(
        *(interface(0, 1, (2, 6, 0)), UNION, endpoint(0x83, 3, 16, 8)),
        *(interface(1, 0, (10, 0, 0)), interface(1, 2, (10, 0, 0), alternate=1)),
        *(endpoint(0x81), endpoint(0x02)),
        interfaces=2,
    ),
    descriptor=DEVICE.replace(bDeviceClass=2),
)
FAMILIES = {
    "mass-storage": (HS_STICK, FS_STICK, UAS_STICK),
    "keyboard-mouse": (KEYBOARD_LS, emulated("keyboard"), emulated("low-speed-mouse")),
    "serial-adapters": (emulated("ftdi"),),
    "cdc": (emulated("cdc-acm"),),
    "smart-card": (SMART_CARD,),
    "security-key": (FIDO,),
    "printer": (PRINTER,),
    "mtp-ptp": (PHONE,),
    "game-controller": (emulated("xbox-pad"),),
    "network": (ECM,),
    "audio": (emulated("headset"), emulated("usb-midi")),
    "webcam": (CAMERA, emulated("webcam")),
}


def test_every_profile_has_a_family() -> None:
    assert set(FAMILIES) == set(SHIPPED) - {"generic"}


def planned(tree: DeviceTree, model: UdcModel, profile: Profile) -> Plan:
    return make_plan(tree, model, REBUILT, profile=profile)


@pytest.mark.parametrize("model", [DUMMY_HCD, DWC2_BCM2835], ids=lambda model: model.name)
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_gets_its_profile_and_is_no_worse_for_it(name: str, model: UdcModel) -> None:
    for tree in FAMILIES[name]:
        profile = chosen(facts_of_tree(tree))
        assert profile.name == name
        assert_as_good(planned(tree, model, profile), planned(tree, model, GENERIC))


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_no_emulated_device_is_worse_for_its_profile(name: str) -> None:
    tree = emulated(name)
    profile = chosen(facts_of_tree(tree))
    for backends in (STOCK, REBUILT):
        with_profile = make_plan(tree, DUMMY_HCD, backends, profile=profile)
        assert_as_good(with_profile, make_plan(tree, DUMMY_HCD, backends))


@settings(max_examples=60, deadline=None)
@given(plausible_devices())
def test_no_device_is_worse_for_its_profile(tree: DeviceTree) -> None:
    profile = chosen(facts_of_tree(tree))
    assert_as_good(planned(tree, DUMMY_HCD, profile), planned(tree, DUMMY_HCD, GENERIC))


def assert_as_good(made: Plan, generic: Plan) -> None:
    """The same replica; nothing is said of the profile but that a device cannot be held."""
    assert (made.backend, made.speed) == (generic.backend, generic.speed)
    assert made.configurations == generic.configurations
    assert made.device_descriptor == generic.device_descriptor
    added = set(made.deviations) - set(generic.deviations)
    assert {each.subject for each in added} <= {"hold"}
    assert set(generic.deviations) <= set(made.deviations)
