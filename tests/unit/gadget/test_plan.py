"""Whole devices on whole controllers: what is built, what differs, what is refused and why."""

import pytest
from hypothesis import given, settings

from gadgetip.errors import RefusedError
from gadgetip.gadget import Deviation, Plan, Severity, make_plan
from gadgetip.gadget.udc_models import (
    DUMMY_HCD,
    DWC2_BCM2835,
    MUSB_AM335X,
    UDC_MODELS,
    UNKNOWN_UDC,
    USBIP_VUDC,
    UdcModel,
)
from gadgetip.pump import Shaping
from gadgetip.usb import DeviceTree, Direction, Speed, StringTable, TransferType
from tests.unit.usb import strategies
from tests.unit.usb.examples import BOT_HIGH_SPEED, KEYBOARD, SERIAL_COMPOSITE

from .devices import (
    CAMERA,
    DEVICE,
    FS_STICK,
    HS_STICK,
    KEYBOARD_LS,
    SERIAL,
    UAS_STICK,
    configuration,
    device,
    endpoint,
    interface,
    stick,
    strings,
)

DEGRADED, INFO, REFUSED = Severity.DEGRADED, Severity.INFO, Severity.REFUSED


def plan(tree: DeviceTree, model: UdcModel = DUMMY_HCD, speed: Speed = Speed.HIGH) -> Plan:
    return make_plan(tree, speed, model)


def texts(made: Plan, severity: Severity) -> list[str]:
    return [str(deviation) for deviation in made.with_severity(severity)]


def data(made: Plan, speed: Speed) -> bytes:
    return b"".join(descriptor.data for descriptor in made.descriptors[speed])


def sizes(made: Plan, speed: Speed) -> list[tuple[int, int, int]]:
    return [(r.address, r.device_max_packet, r.host_max_packet) for r in made.routes[speed]]


# --- sticks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", UDC_MODELS)
def test_a_high_speed_stick_is_itself(model: UdcModel) -> None:
    made = plan(HS_STICK, model)
    assert made.deviations == ()
    assert (made.backend, made.speed, made.configuration_value) == ("functionfs", Speed.HIGH, 1)
    assert list(made.descriptors) == [Speed.FULL, Speed.HIGH]
    assert data(made, Speed.HIGH) == BOT_HIGH_SPEED[9:]
    assert data(made, Speed.FULL) == BOT_HIGH_SPEED[9:].replace(b"\x00\x02\x00", b"\x40\x00\x00")
    assert sizes(made, Speed.HIGH) == [(0x81, 512, 512), (0x02, 512, 512)]
    assert sizes(made, Speed.FULL) == [(0x81, 512, 64), (0x02, 512, 64)]
    assert {route.shaping for route in made.routes[Speed.HIGH]} == {Shaping.BOT}
    assert [route.host_address for route in made.routes[Speed.HIGH]] == [0x81, 0x02]
    assert made.interfaces == (0,)
    assert made.refusals == ()


def test_a_full_speed_stick_stays_full_speed() -> None:
    made = plan(FS_STICK, DWC2_BCM2835)
    assert made.deviations == ()
    assert made.speed is Speed.FULL
    assert list(made.descriptors) == list(made.routes) == [Speed.FULL]


def test_a_full_speed_stick_where_the_speed_cannot_be_capped() -> None:
    made = plan(FS_STICK, MUSB_AM335X)
    assert made.speed is Speed.HIGH
    assert texts(made, DEGRADED) == [
        "speed: musb-am335x cannot be capped below high speed: the replica is high-speed"
    ]
    assert sizes(made, Speed.HIGH) == [(0x81, 64, 512), (0x02, 64, 512)]
    assert made.refusals == ()  # the bulk-only shaper knows where transfers end


def test_a_full_speed_controller_that_cannot_be_capped_needs_not_be() -> None:
    assert plan(FS_STICK, MUSB_AM335X, Speed.FULL).speed is Speed.FULL


def test_a_superspeed_stick_with_uas_becomes_bulk_only_at_high_speed() -> None:
    made = plan(UAS_STICK, DWC2_BCM2835)
    assert made.speed is Speed.HIGH
    assert texts(made, DEGRADED) == [
        "interface 0: only its default setting is offered, not 1 (08/06/62)",
        "speed: 480 Mbit/s instead of the device's 5000 Mbit/s: the controller can do no more",
    ]
    assert texts(made, INFO) == [
        "bcdUSB: the kernel writes 0x0200 for 0x0320",
        "bMaxPower: the replica says 500 mA, the device 896 mA",
        "BOS descriptor: the kernel makes none at this speed",
    ]
    assert data(made, Speed.HIGH) == BOT_HIGH_SPEED[9:]
    assert sizes(made, Speed.HIGH) == [(0x81, 1024, 512), (0x02, 1024, 512)]
    assert made.identity.max_power_ma == 500


def test_at_superspeed_companions_go_along_and_nothing_is_burnt() -> None:
    made = plan(UAS_STICK, UNKNOWN_UDC, Speed.SUPER)
    assert made.speed is Speed.SUPER
    assert data(made, Speed.SUPER) == bytes.fromhex(
        "090400000208065000 07058102000400 06300f000000 07050202000400 06300f000000"
    )
    assert data(made, Speed.HIGH) == BOT_HIGH_SPEED[9:]
    # A filler has SuperSpeed descriptors: at that speed the host would see it.
    assert made.fillers == ()
    assert texts(made, DEGRADED) == [
        "interface 0: only its default setting is offered, not 1 (08/06/62)",
        "endpoint 0x02: becomes 0x01: unknown cannot be made to choose this number",
    ]
    assert [route.host_address for route in made.routes[Speed.SUPER]] == [0x81, 0x01]
    assert made.identity.max_power_ma == 896


def test_fillers_reach_the_addresses_of_the_device() -> None:
    made = plan(device(stick(0x83, 0x02)))
    assert made.deviations == ()
    assert [(f.direction, f.transfer_type) for f in made.fillers] == [
        (Direction.IN, TransferType.BULK)
    ] * 6
    assert [route.host_address for route in made.routes[Speed.HIGH]] == [0x83, 0x02]


def test_addresses_that_cannot_be_reached_are_told() -> None:
    made = plan(device(stick(0x8F, 0x0F)), DWC2_BCM2835)
    assert texts(made, DEGRADED) == [
        "endpoint 0x8f: becomes 0x81: dwc2-bcm2835 cannot be made to choose this number",
        "endpoint 0x0f: becomes 0x01: dwc2-bcm2835 cannot be made to choose this number",
    ]
    routes = made.routes[Speed.HIGH]
    assert [(r.address, r.host_address) for r in routes] == [(0x8F, 0x81), (0x0F, 0x01)]


def test_an_unknown_controller_is_guessed_and_said() -> None:
    made = plan(HS_STICK, UNKNOWN_UDC)
    assert texts(made, INFO) == [
        "endpoints: this controller is not in the table: the addresses are a guess"
    ]
    assert made.refusals == ()


@pytest.mark.parametrize("speed", [Speed.UNKNOWN, Speed.WIRELESS])
def test_a_device_of_unknown_speed_is_taken_for_high_speed(speed: Speed) -> None:
    made = plan(device(BOT_HIGH_SPEED, speed=speed))
    assert made == plan(HS_STICK)
    assert sizes(made, Speed.FULL) == [(0x81, 512, 64), (0x02, 512, 64)]


# --- others ---------------------------------------------------------------------------------


def test_a_low_speed_keyboard_becomes_full_speed() -> None:
    made = plan(KEYBOARD_LS)
    assert made.speed is Speed.FULL
    assert texts(made, INFO) == [
        "speed: a low-speed device becomes full-speed",
        "bMaxPacketSize0: the controller's 64 instead of 8",
    ]
    assert data(made, Speed.FULL) == KEYBOARD[9:]
    (route,) = made.routes[Speed.FULL]
    assert (route.shaping, route.window_urbs, route.transfer_bytes) == (Shaping.INTERRUPT, 2, 8)
    assert route.interval == 10  # milliseconds at the device


@pytest.mark.parametrize("model", UDC_MODELS)
def test_no_replica_claims_to_wake_the_host(model: UdcModel) -> None:
    made = plan(KEYBOARD_LS, model, Speed.FULL)
    assert not made.identity.bmAttributes & 0x20
    assert [d.subject for d in made.with_severity(DEGRADED)] == ["remote wakeup"]
    assert "remote wakeup" not in {d.subject for d in plan(HS_STICK, model).deviations}


def test_a_serial_port_is_refused_and_each_descriptor_named() -> None:
    assert texts(plan(SERIAL), REFUSED) == [
        f"interface 1: FunctionFS takes no cs interface descriptor (type 0x24, {size} bytes) "
        "in class 02"
        for size in (5, 5, 4, 5)
    ]


def test_a_camera_is_refused() -> None:
    made = plan(CAMERA)
    assert not made.descriptors
    assert not made.routes
    subjects = {deviation.subject for deviation in made.refusals}
    assert subjects == {"interface 0", "interface 1"}
    assert any("cs endpoint descriptor (type 0x25, 5 bytes)" in r for r in texts(made, REFUSED))


def test_isochronous_and_control_endpoints_are_refused_by_name() -> None:
    tree = device(configuration(interface(0, 2), endpoint(0x81, 1, 192, 1), endpoint(0x02, 0, 64)))
    refusals = texts(plan(tree, USBIP_VUDC), REFUSED)
    assert "endpoint 0x81: isochronous endpoints are not carried yet" in refusals
    assert "endpoint 0x02: FunctionFS has no control endpoint but endpoint 0" in refusals


def test_more_endpoints_than_the_controller_has() -> None:
    tree = device(
        configuration(interface(0, 9), *(endpoint(0x81 + n) for n in range(8)), endpoint(0x01))
    )
    assert texts(plan(tree, DWC2_BCM2835), REFUSED) == [
        "endpoints: the device has 8 IN endpoints, dwc2-bcm2835 has room for 7 of them"
    ]
    assert plan(tree, USBIP_VUDC).refusals == ()


def test_two_endpoints_of_the_same_address_are_refused() -> None:
    addresses = (0x81, 0x86, 0x8B, 0x82, 0x87)
    tree = device(configuration(interface(0, 5), *map(endpoint, addresses)))
    assert "endpoints: dummy_hcd would give two of them the same address" in texts(
        plan(tree), REFUSED
    )


@pytest.mark.parametrize(
    ("kind", "size", "shown"), [(2, 1024, 512), (2, 64, 512), (2, 512, None), (3, 64, None)]
)
def test_packets_of_another_size_need_a_shaper_that_knows_transfers(
    kind: int, size: int, shown: int | None
) -> None:
    speed = {1024: Speed.SUPER, 512: Speed.HIGH, 64: Speed.FULL}[size]
    tree = device(configuration(interface(0, 1), endpoint(0x81, kind, size, 4)), speed=speed)
    made = plan(tree, MUSB_AM335X)
    expected = [
        f"endpoint 0x81: its packets are {size} bytes at the device and {shown} at the host",
    ]
    refusals = [text.partition(", and nothing tells")[0] for text in texts(made, REFUSED)]
    assert refusals == (expected if shown else [])


# --- what FunctionFS carries ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("triple", "kind", "length", "carried"),
    [
        ((3, 0, 0), 0x21, 9, True),
        ((3, 0, 0), 0x21, 12, False),  # two report descriptors
        ((0x0B, 0, 0), 0x21, 54, True),
        ((0x0B, 0, 0), 0x21, 9, False),
        ((0xFE, 1, 2), 0x21, 9, True),
        ((0xFE, 1, 2), 0x21, 7, False),  # DFU 1.0
        ((0xFE, 2, 0), 0x21, 9, False),
        ((0xFF, 0, 0), 0x21, 9, False),
        ((3, 0, 0), 0x22, 9, False),
        ((2, 2, 1), 0x24, 5, False),
        ((0xFF, 0, 0), 0x41, 4, False),
    ],
)
def test_class_specific_descriptors(
    triple: tuple[int, int, int], kind: int, length: int, carried: bool
) -> None:
    extra = bytes((length, kind)) + bytes(length - 2)
    tree = device(configuration(interface(0, 0, triple), extra))
    refusals = plan(tree).refusals
    assert (not refusals) is carried
    if not carried:
        (refusal,) = refusals
        assert refusal.subject == "interface 0"
        assert f"(type 0x{kind:02x}, {length} bytes) in class {triple[0]:02x}" in refusal.reason


@pytest.mark.parametrize(
    ("descriptors", "problem"),
    [
        ([b"\x0a" + interface(0, 0)[1:] + b"\0"], "interface descriptor (type 0x04, 10 bytes)"),
        ([interface(0, 1), b"\x08" + endpoint(0x81)[1:] + b"\0"], "endpoint .*0x05, 8 bytes"),
        (
            [interface(0, 1), endpoint(0x81), b"\x07\x30" + bytes(5)],
            "endpoint companion descriptor (type 0x30, 7 bytes)",
        ),
        ([b"\x09\x0b" + bytes(7), interface(0, 0)], "interface association descriptor of 9 bytes"),
    ],
)
def test_standard_descriptors_of_another_length(descriptors: list[bytes], problem: str) -> None:
    """Legal, kept by the parser, and refused by the kernel with the whole set."""
    refusals = texts(plan(device(configuration(*descriptors))), REFUSED)
    assert len(refusals) == 1
    words = problem.split(".*")
    assert all(word in refusals[0] for word in words), refusals


def test_an_audio_endpoint_is_two_bytes_longer_and_carried() -> None:
    long = b"\x09" + endpoint(0x81)[1:] + b"\0\0"
    assert plan(device(configuration(interface(0, 1), long))).refusals == ()


# --- configurations and interfaces ----------------------------------------------------------


def test_nothing_to_rebuild() -> None:
    with pytest.raises(RefusedError, match="the device has no configuration"):
        plan(device())


def test_a_configuration_without_interfaces_is_refused() -> None:
    tree = device(configuration(interfaces=0))
    assert texts(plan(tree), REFUSED) == ["configuration: it has no interface"]


def test_a_configuration_that_nobody_can_choose_is_refused() -> None:
    data = bytearray(stick())
    data[5] = 0
    assert texts(plan(device(bytes(data))), REFUSED) == [
        "configuration: its bConfigurationValue is 0, by which nobody can choose it"
    ]


def test_only_the_first_configuration_is_offered() -> None:
    other = bytearray(stick())
    other[5] = 2
    made = plan(device(stick(), bytes(other)))
    assert texts(made, DEGRADED) == ["configurations: the first of 2 is offered"]
    assert made.configuration_value == 1


def test_interfaces_with_gaps_are_renumbered_and_told() -> None:
    tree = device(
        configuration(
            interface(2, 1), endpoint(0x81), interface(5, 1), endpoint(0x82), interfaces=2
        )
    )
    made = plan(tree, DWC2_BCM2835)
    assert made.interfaces == (2, 5)
    assert texts(made, DEGRADED) == [
        "interface 2: the kernel numbers interfaces without gaps: it becomes 0",
        "interface 5: the kernel numbers interfaces without gaps: it becomes 1",
    ]
    assert [route.interface for route in made.routes[Speed.HIGH]] == [2, 5]


def test_an_otg_descriptor_is_left_out() -> None:
    tree = device(configuration(b"\x03\x09\x03", interface(0, 0)))
    made = plan(tree)
    assert texts(made, INFO) == ["OTG descriptor: left out: the replica has no OTG role"]
    assert data(made, Speed.HIGH) == interface(0, 0)


def test_an_association_goes_along_wherever_it_stands() -> None:
    first = bytes((8, 0x0B, 0, 1, 0xFF, 0, 0, 0))
    second = bytes((8, 0x0B, 1, 1, 0xFF, 0, 0, 0))
    parts = [first, interface(0, 0), second, interface(1, 0)]
    made = plan(device(configuration(*parts, interfaces=2)))
    assert data(made, Speed.HIGH) == data(made, Speed.FULL) == b"".join(parts)


def test_shapers_by_class_and_endpoint() -> None:
    storage = (8, 6, 0x50)
    cases = [
        (storage, [(0x81, 2), (0x02, 2)], ["bot", "bot"]),
        (storage, [(0x81, 2), (0x02, 2), (0x83, 3)], ["bot", "bot", "interrupt"]),
        (storage, [(0x81, 2)], ["packet"]),  # half a pair is none
        (storage, [(0x81, 2), (0x82, 2), (0x02, 2)], ["packet"] * 3),
        ((8, 6, 0x62), [(0x81, 2), (0x02, 2)], ["packet", "packet"]),  # UAS
        ((8, 4, 0), [(0x81, 2), (0x02, 2), (0x83, 3)], ["packet", "packet", "interrupt"]),  # CBI
        ((0xFF, 6, 0x50), [(0x81, 2), (0x02, 2)], ["packet", "packet"]),
    ]
    for triple, endpoints, expected in cases:
        tree = device(
            configuration(
                interface(0, len(endpoints), triple),
                *(
                    endpoint(address, kind, 512 if kind == 2 else 64, 4)
                    for address, kind in endpoints
                ),
            )
        )
        made = plan(tree, USBIP_VUDC)
        assert [route.shaping.value for route in made.routes[Speed.HIGH]] == expected


# --- strings --------------------------------------------------------------------------------


def test_strings_go_where_the_kernel_will_look_for_them() -> None:
    first, second = bytearray(interface(0, 0)), bytearray(interface(1, 0))
    first[8], second[8] = 9, 5
    association = bytes((8, 0x0B, 0, 2, 0xFF, 0, 0, 7))
    data = bytearray(configuration(association, bytes(first), bytes(second), interfaces=2))
    data[6] = 4
    names = {1: "maker", 2: "thing", 3: "serial", 4: "the configuration", 5: "B", 7: "F", 9: "A"}
    tree = device(bytes(data), texts=strings(names, (0x0409, 0x0407)))
    made = plan(tree)
    assert made.interface_strings == {0x0409: ("B", "F", "A"), 0x0407: ("B", "F", "A")}
    assert made.identity.configuration_strings == {
        0x0409: "the configuration",
        0x0407: "the configuration",
    }
    out = made.descriptors[Speed.HIGH]
    assert [d.data[-1] for d in out] == [2, 3, 1]  # the function's own numbers
    assert texts(made, INFO) == [
        "interface 0: iInterface is string index 7 instead of 9",
    ]


def test_a_string_that_the_device_names_and_does_not_give() -> None:
    first = bytearray(interface(0, 0))
    first[8] = 9
    made = plan(device(configuration(bytes(first)), texts=strings({2: "thing"})))
    assert made.descriptors[Speed.HIGH][0].data[8] == 0
    assert made.identity.strings == {0x0409: {"product": "thing"}}
    assert "interface 0: iInterface is string index 0 instead of 9" in texts(made, INFO)


# --- any device -----------------------------------------------------------------------------


@settings(strategies.unhurried, max_examples=20)
@given(strategies.devices())
def test_any_device_gets_a_plan_or_a_reason(tree: DeviceTree) -> None:
    for model, speed in ((DWC2_BCM2835, Speed.HIGH), (MUSB_AM335X, Speed.FULL)):
        try:
            made = make_plan(tree, speed, model)
        except RefusedError:
            assert not tree.configurations
            continue
        for deviation in made.deviations:
            assert str(deviation).isprintable()
        if made.refusals:
            continue
        assert max(made.descriptors) == made.speed <= speed
        for each in made.descriptors:
            # The kernel wants the same endpoints in the same order at every speed.
            assert [r.address for r in made.routes[each]] == [
                r.address for r in made.routes[made.speed]
            ]


def test_a_deviation_in_one_line() -> None:
    assert str(Deviation(INFO, "bcdUSB", "differs")) == "bcdUSB: differs"
    assert [str(severity) for severity in Severity] == ["info", "degraded", "refused"]


def test_no_strings_at_all() -> None:
    made = plan(device(stick(), texts=StringTable()))
    assert made.identity.strings == {}
    assert texts(made, INFO) == [
        f"{name}: string index 0 instead of {own}"
        for name, own in (("iManufacturer", 1), ("iProduct", 2), ("iSerialNumber", 3))
    ]
    silent = DEVICE.replace(iManufacturer=0, iProduct=0, iSerialNumber=0)
    assert plan(device(stick(), texts=StringTable(), descriptor=silent)).deviations == ()


def test_the_composite_example_is_refused_for_its_serial_port_alone() -> None:
    tree = device(SERIAL_COMPOSITE)
    assert {deviation.subject for deviation in plan(tree, USBIP_VUDC).refusals} == {"interface 1"}
