"""What may be held over the loss of the link, and what is said where it may not."""

from dataclasses import replace

import pytest

from gadgetip.gadget import Holdable, Plan, Severity
from gadgetip.profiles import GENERIC, IdentityWishes, InterfaceWish, LinkWishes, Profile
from gadgetip.usb import DeviceTree
from tests.emulated.devices import DEVICES
from tests.unit.gadget.devices import (
    DEVICE,
    HS_STICK,
    KEYBOARD_LS,
    SERIAL,
    UAS_STICK,
    configuration,
    device,
    emulated,
    endpoint,
    interface,
    stick,
)
from tests.unit.gadget.planning import REBUILT, plan, texts, wishing

HELD = GENERIC.held_for(30)
STORAGE, INPUT, OTHER = Holdable.STORAGE, Holdable.INPUT, Holdable.OTHER
PORT = Holdable.SERIAL

ECM = device(
    configuration(
        interface(0, 1, (2, 6, 0)),
        endpoint(0x81, 3, 16, 9),
        interface(1, 2, (10, 0, 0)),
        endpoint(0x82),
        endpoint(0x02),
        interfaces=2,
    )
)
ACM_AND_ECM = device(
    configuration(
        interface(0, 1, (2, 2, 1)),
        endpoint(0x81, 3, 16, 9),
        interface(1, 2, (10, 0, 0)),
        endpoint(0x82),
        endpoint(0x02),
        interface(2, 0, (2, 6, 0)),
        interfaces=3,
    )
)


def hid(number: int, subclass: int, protocol: int) -> bytes:
    return interface(number, 1, (3, subclass, protocol)) + endpoint(0x81 + number, 3, 8, 4)


VENDOR_HID = device(configuration(hid(0, 0, 0)))
KEYBOARD_MOUSE_AND_KEYS = device(
    configuration(hid(0, 1, 1), hid(1, 1, 2), hid(2, 0, 0), interfaces=3)
)
STICK_AND_KEYBOARD = device(
    configuration(
        interface(0, 2, (8, 6, 0x50)), endpoint(0x81), endpoint(0x02), hid(1, 1, 1), interfaces=2
    )
)
STICK_AND_FIRMWARE = device(
    configuration(
        interface(0, 2, (8, 6, 0x50)),
        endpoint(0x81),
        endpoint(0x02),
        interface(1, 0, (0xFE, 1, 1)),
        interfaces=2,
    )
)


def adapter(maker: int, ports: int = 1) -> DeviceTree:
    """A serial adapter of vendor-specific interfaces."""
    made = configuration(
        *(interface(n, 2) + endpoint(0x81 + 2 * n) + endpoint(0x02 + 2 * n) for n in range(ports)),
        interfaces=ports,
    )
    return device(made, descriptor=DEVICE.replace(idVendor=maker))


def held(tree: DeviceTree, profile: Profile = HELD) -> Plan:
    return plan(tree, backends=REBUILT, profile=profile)


def insisting(profile: Profile = GENERIC) -> Profile:
    return replace(profile, link=LinkWishes(on_loss="hold", hold_s=30, insists=True))


def said(made: Plan) -> list[str]:
    return [text for text in texts(made, Severity.DEGRADED) if text.startswith("hold")]


@pytest.mark.parametrize(
    ("tree", "kinds"),
    [
        (HS_STICK, {0: STORAGE}),
        (KEYBOARD_LS, {0: INPUT}),
        (KEYBOARD_MOUSE_AND_KEYS, {0: INPUT, 1: INPUT, 2: INPUT}),
        (STICK_AND_KEYBOARD, {0: STORAGE, 1: INPUT}),
        (emulated("keyboard"), {0: INPUT}),
        (emulated("low-speed-mouse"), {0: INPUT}),
        (emulated("cdc-acm"), {0: PORT, 1: PORT}),
        (emulated("ftdi"), {0: PORT}),
        *[(adapter(maker), {0: PORT}) for maker in (0x0403, 0x10C4, 0x067B, 0x1A86)],
        (adapter(0x0403, 2), {0: PORT, 1: PORT}),
    ],
)
def test_what_is_held(tree: DeviceTree, kinds: dict[int, Holdable]) -> None:
    made = held(tree)
    assert made.hold is not None
    assert (made.hold.limit_s, made.hold.interfaces) == (30, kinds)
    assert made.hold.maker == tree.device.idVendor
    assert said(made) == []


@pytest.mark.parametrize(
    ("tree", "which"),
    [
        (VENDOR_HID, "interface 0"),
        (ECM, "interfaces 0, 1"),
        (ACM_AND_ECM, "interfaces 1, 2"),
        (adapter(0x1234), "interface 0"),
        (STICK_AND_FIRMWARE, "interface 1"),
        (emulated("xbox-pad"), "interface 0"),
        (emulated("bulk-echo"), "interface 0"),
    ],
)
def test_what_is_not(tree: DeviceTree, which: str) -> None:
    made = held(tree)
    assert made.hold is None
    assert not made.refusals
    assert said(made) == [f"hold: a lost link unplugs it: {which} cannot be held"]


@pytest.mark.parametrize("tree", [VENDOR_HID, ECM, STICK_AND_FIRMWARE])
def test_whoever_insists_is_warned(tree: DeviceTree) -> None:
    made = held(tree, insisting())
    assert made.hold is not None
    assert OTHER in made.hold.interfaces.values()
    (warning,) = said(made)
    assert warning.startswith("hold: held, as the profile insists: interface")


def test_nobody_who_insists_is_warned_of_what_is_safe() -> None:
    assert said(held(HS_STICK, insisting())) == []


@pytest.mark.parametrize("tree", [HS_STICK, VENDOR_HID])
@pytest.mark.parametrize("profile", [GENERIC, HELD.held_for(0), insisting().held_for(0)])
def test_nothing_is_held_unless_it_is_wished(tree: DeviceTree, profile: Profile) -> None:
    made = held(tree, profile)
    assert made.hold is None
    assert said(made) == []


def test_a_uas_disk_is_held_where_bulk_only_is_all_that_its_host_sees() -> None:
    bulk_only = wishing(InterfaceWish(0, alternate_setting=0)).held_for(30)
    made = held(UAS_STICK, bulk_only)
    assert made.hold is not None
    assert made.hold.interfaces == {0: STORAGE}
    uas = held(UAS_STICK, wishing(InterfaceWish(0, alternate_setting=1)).held_for(30))
    assert uas.hold is None
    both = plan(UAS_STICK, backends=REBUILT[1:], profile=HELD)
    assert both.hold is None


def test_a_serial_adapter_is_the_same_by_another_name() -> None:
    renamed = wishing(identity=IdentityWishes(idVendor=0x1234)).held_for(30)
    made = held(adapter(0x0403), renamed)
    assert made.hold is not None
    assert (made.hold.interfaces, made.hold.maker) == ({0: PORT}, 0x0403)
    disguised = wishing(identity=IdentityWishes(idVendor=0x0403)).held_for(30)
    assert held(adapter(0x1234), disguised).hold is None


def test_what_is_dropped_does_not_count() -> None:
    made = held(STICK_AND_FIRMWARE, wishing(InterfaceWish(1, drop=True)).held_for(30))
    assert made.hold is not None
    assert made.hold.interfaces == {0: STORAGE}


def test_an_interface_that_each_configuration_has_in_another_way() -> None:
    """The number alone does not tell which is meant, and neither order makes it safe."""
    second = bytearray(configuration(interface(0, 2), endpoint(0x81), endpoint(0x02)))
    second[5] = 2
    vendor_last = device(stick(), bytes(second))
    first = bytearray(stick())
    first[5] = 2
    storage_last = device(
        configuration(interface(0, 2), endpoint(0x81), endpoint(0x02)), bytes(first)
    )
    keys = bytearray(configuration(hid(0, 1, 1)))
    keys[5] = 2
    keyboard_last = device(configuration(hid(0, 0, 0)), bytes(keys))
    for tree in (vendor_last, storage_last, keyboard_last):
        made = plan(tree, backends=REBUILT[:1], profile=HELD)
        assert len(made.configurations) == 2
        assert made.hold is None


def test_a_configuration_that_is_not_planned_does_not_count() -> None:
    second = bytearray(configuration(interface(0, 2), endpoint(0x81), endpoint(0x02)))
    second[5] = 2
    made = plan(device(stick(), bytes(second)), backends=REBUILT[1:], profile=HELD)
    assert [each.value for each in made.configurations] == [1]
    assert made.hold is not None
    assert made.hold.interfaces == {0: STORAGE}


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_any_device_may_be_insisted_on(name: str) -> None:
    made = held(emulated(name), insisting())
    if made.refusals:
        return
    assert made.hold is not None
    kept = {number for each in made.configurations for number in each.interfaces}
    assert set(made.hold.interfaces) == kept
    assert bool(said(made)) == (OTHER in made.hold.interfaces.values())


def test_a_serial_port_of_a_composite_is_held_with_it() -> None:
    made = held(SERIAL)
    assert made.hold is not None
    assert set(made.hold.interfaces.values()) == {PORT, STORAGE}


def test_only_a_profile_that_wished_to_hold_may_insist() -> None:
    assert insisting().held_for(5).link.insists
    unplugging = replace(GENERIC, link=LinkWishes(insists=True)).held_for(5)
    assert (unplugging.link.on_loss, unplugging.link.insists) == ("hold", False)
