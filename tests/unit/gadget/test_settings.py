"""Interfaces and alternate settings: kept, dropped, frozen; and what isochronous endpoints cost."""

import pytest

from gadgetip.gadget import Plan, Severity
from gadgetip.gadget.udc_models import USBIP_VUDC
from gadgetip.profiles import InterfaceWish, Profile
from gadgetip.pump import Shaping
from gadgetip.usb import Speed, build_configuration, parse_configuration

from .devices import SERIAL, configuration, device, emulated, endpoint, interface
from .planning import REBUILT, STOCK, data, functionfs, gadgetfs, only, plan, texts, wishing

DEGRADED, INFO, REFUSED = Severity.DEGRADED, Severity.INFO, Severity.REFUSED


def association(first: int, count: int) -> bytes:
    return bytes((8, 0x0B, first, count, 0xFF, 0, 0, 0))


def raw(made: Plan) -> bytes:
    return only(made).data[Speed.HIGH]


# --- alternate settings ---------------------------------------------------------------------


def test_functionfs_has_default_settings_alone() -> None:
    made = functionfs(emulated("alternate-setting-five"))
    assert texts(made, DEGRADED) == [
        "interface 0: only its default setting is offered, not 5 (ff/00/00)"
    ]
    assert only(made).routes[Speed.HIGH] == ()


@pytest.mark.parametrize("name", ["four-settings-one-address", "alternate-setting-five"])
def test_gadgetfs_has_all_settings(name: str) -> None:
    made = plan(emulated(name))
    assert (made.backend, made.with_severity(DEGRADED)) == ("gadgetfs", ())
    assert only(made).refused_settings == frozenset()


# --- isochronous ----------------------------------------------------------------------------


def test_a_headset_keeps_its_buttons() -> None:
    made = plan(emulated("headset"))
    planned = only(made)
    assert (made.backend, made.speed, made.refusals) == ("gadgetfs", Speed.FULL, ())
    assert planned.interfaces == (0, 1, 2, 3)
    assert planned.refused_settings == {(1, 1), (2, 1)}
    assert [(r.interface, r.address) for r in planned.routes[Speed.FULL]] == [(3, 0x83)]
    told = texts(made, DEGRADED)
    assert [text.partition(",")[0] for text in told] == [
        "endpoint 0x01: isochronous",
        "endpoint 0x82: isochronous",
    ]
    assert all("the host cannot choose setting 1" in text for text in told)


def test_a_bluetooth_stick_works_without_sco() -> None:
    tree = emulated("bluetooth")
    made = plan(tree, USBIP_VUDC, STOCK[:1])
    assert made.refusals == ()
    assert only(made).interfaces == (0,)
    assert [route.shaping for route in only(made).routes[Speed.FULL]] == [
        Shaping.INTERRUPT,
        Shaping.PACKET,
        Shaping.PACKET,
    ]
    assert "interface 1: left out: its default setting is isochronous" in texts(made, DEGRADED)
    described = only(plan(tree, USBIP_VUDC, STOCK[1:]))
    assert described.interfaces == (0, 1)
    assert described.refused_settings == {(1, alternate) for alternate in range(1, 6)}
    assert {route.interface for route in described.routes[Speed.FULL]} == {0}


def test_a_camera_is_described_and_its_stream_cannot_be_chosen() -> None:
    tree = emulated("webcam")
    made = plan(tree, backends=REBUILT)
    assert (made.backend, made.refusals) == ("gadgetfs", ())
    assert raw(made) == build_configuration(tree.configurations[0])
    streaming = [s for s in tree.configurations[0].settings if s.alternate and s.endpoints]
    assert {(s.interface, s.alternate) for s in streaming} == only(made).refused_settings


def test_each_isochronous_endpoint_is_named_with_the_reason() -> None:
    tree = device(
        configuration(
            interface(0, 0), interface(0, 2, alternate=1), endpoint(0x81, 1, 192, 1),
            endpoint(0x02, 2, 512),
        )
    )  # fmt: skip
    for made in (functionfs(tree), gadgetfs(tree)):
        assert made.refusals == ()
        (told,) = [text for text in texts(made, DEGRADED) if text.startswith("endpoint 0x81")]
        assert told.endswith("gadgetip moves no isochronous data yet")


# --- OTG ------------------------------------------------------------------------------------

OTG = b"\x03\x09\x03"


@pytest.mark.parametrize(
    "parts",
    [
        [OTG, interface(0, 1), endpoint(0x81)],
        [interface(0, 1), OTG, endpoint(0x81)],
        [interface(0, 1), endpoint(0x81), OTG],
    ],
)
@pytest.mark.parametrize("backends", [STOCK[:1], STOCK[1:]])
def test_an_otg_descriptor_is_left_out(parts: list[bytes], backends: object) -> None:
    made = plan(
        device(configuration(*parts)), backends=STOCK[:1] if backends == STOCK[:1] else STOCK[1:]
    )
    assert "OTG descriptor: left out: the replica has no OTG role" in texts(made, INFO)
    assert data(made, Speed.HIGH) == interface(0, 1) + endpoint(0x81)
    assert made.refusals == ()
    if made.backend == "gadgetfs":
        assert raw(made) == configuration(interface(0, 1), endpoint(0x81))


# --- the profile ----------------------------------------------------------------------------


def dropping(*numbers: int) -> Profile:
    return wishing(*(InterfaceWish(number, drop=True) for number in numbers))


def test_a_dropped_interface_takes_its_association_along() -> None:
    made = plan(SERIAL, backends=STOCK[1:], profile=dropping(1, 2))
    assert texts(made, DEGRADED) == [
        "interface 1: left out, as the profile asks",
        "interface 2: left out, as the profile asks",
    ]
    tree = parse_configuration(raw(made))
    assert (tree.descriptor.bNumInterfaces, tree.associations) == (1, ())
    assert [route.address for route in only(made).routes[Speed.HIGH]] == [0x81, 0x01]


@pytest.mark.parametrize(
    ("dropped", "left", "expected"),
    [
        ((0,), (1, 2, 3), [(1, 2)]),
        ((1,), (0, 2, 3), [(0, 3)]),  # it has to be a run of numbers
        ((2,), (0, 1, 3), [(0, 2)]),
        ((0, 2), (1, 3), [(1, 1)]),
        ((3,), (0, 1, 2), [(0, 3)]),
        ((0, 1, 2), (3,), []),
    ],
)
def test_associations_are_fitted_to_what_stays(
    dropped: tuple[int, ...], left: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    parts = [association(0, 3), *(interface(n, 0) for n in range(4))]
    tree = device(configuration(*parts, interfaces=4))
    made = plan(tree, backends=STOCK[1:], profile=dropping(*dropped))
    shown = parse_configuration(raw(made))
    assert only(made).interfaces == tuple(shown.interfaces) == left
    assert [(a.bFirstInterface, a.bInterfaceCount) for a in shown.associations] == expected


def test_functionfs_renumbers_what_is_left_behind_a_dropped_interface() -> None:
    parts = [interface(0, 0), association(1, 2), interface(1, 0), interface(2, 0)]
    made = plan(
        device(configuration(*parts, interfaces=3)), profile=dropping(0), backends=STOCK[:1]
    )
    assert data(made, Speed.HIGH) == association(0, 2) + interface(0, 0) + interface(1, 0)
    assert only(made).interfaces == (1, 2)


def test_everything_dropped_is_nothing_to_rebuild() -> None:
    made = plan(device(configuration(interface(0, 0))), profile=dropping(0))
    assert texts(made, REFUSED) == ["configuration: nothing of configuration 1 is left to rebuild"]


def frozen(number: int, alternate: int) -> Profile:
    return wishing(InterfaceWish(number, alternate_setting=alternate))


@pytest.mark.parametrize("backends", [STOCK[:1], STOCK[1:]], ids=["functionfs", "gadgetfs"])
def test_a_frozen_setting_is_the_hosts_only_one(backends: tuple[object, ...]) -> None:
    used = STOCK[:1] if backends == STOCK[:1] else STOCK[1:]
    made = plan(emulated("alternate-setting-five"), backends=used, profile=frozen(0, 5))
    planned = only(made)
    assert planned.frozen == {0: 5}
    assert "interface 0: frozen at alternate setting 5, as the profile asks" in texts(
        made, DEGRADED
    )
    assert [d.data[3] for d in planned.descriptors[Speed.HIGH] if d.data[1] == 4] == [0]
    assert [(r.alternate, r.address) for r in planned.routes[Speed.HIGH]] == [
        (0, r.address) for r in planned.routes[Speed.HIGH]
    ]
    assert planned.route((0, 5, 0x81), Speed.HIGH) is planned.routes[Speed.HIGH][0] or (
        planned.route((0, 5, 0x81), Speed.HIGH) is planned.routes[Speed.HIGH][1]
    )
    assert planned.route((0, 0, 0x81), Speed.HIGH) is None


def test_a_frozen_interface_stays_in_its_place() -> None:
    parts = [
        *(interface(0, 0), interface(1, 0), interface(1, 1, alternate=1), endpoint(0x81)),
        *(interface(2, 0), interface(3, 0), interface(3, 0, alternate=2)),
    ]
    tree = device(configuration(*parts, interfaces=4))
    made = plan(tree, backends=STOCK[1:], profile=wishing(
        InterfaceWish(1, alternate_setting=1), InterfaceWish(3, alternate_setting=2)
    ))  # fmt: skip
    assert only(made).interfaces == (0, 1, 2, 3)
    assert raw(made) == configuration(
        interface(0, 0), interface(1, 1), endpoint(0x81), interface(2, 0), interface(3, 0),
        interfaces=4,
    )  # fmt: skip


def test_a_setting_that_is_not_there_cannot_be_frozen() -> None:
    made = plan(emulated("alternate-setting-five"), profile=frozen(0, 1))
    assert "interface 0: the profile asks for alternate setting 1, which it does not have" in texts(
        made, REFUSED
    )


def test_the_default_setting_of_an_interface_that_has_no_other_is_frozen_in_silence() -> None:
    tree = device(configuration(interface(0, 1), endpoint(0x81)))
    assert plan(tree, profile=frozen(0, 0)).deviations == ()
