"""Whole devices on whole controllers: which backend, which speed, what differs, what is refused."""

from dataclasses import replace

import pytest

from gadgetip.errors import UsageError
from gadgetip.gadget import Deviation, KernelVersion, Severity, make_plan
from gadgetip.gadget.backends.functionfs import FUNCTIONFS
from gadgetip.gadget.udc_models import (
    DUMMY_HCD,
    DWC2_BCM2835,
    DWC3,
    MUSB_AM335X,
    UDC_MODELS,
    UNKNOWN_UDC,
    USBIP_VUDC,
    UdcModel,
)
from gadgetip.pump import Shaping
from gadgetip.usb import Direction, Speed, TransferType
from tests.unit.usb.examples import BOT_HIGH_SPEED, KEYBOARD

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
    emulated,
    endpoint,
    interface,
    stick,
)
from .planning import REBUILT, STOCK, data, functionfs, only, plan, sizes, texts, wishing

DEGRADED, INFO, REFUSED = Severity.DEGRADED, Severity.INFO, Severity.REFUSED


# --- which backend --------------------------------------------------------------------------


@pytest.mark.parametrize("backends", [STOCK, REBUILT])
@pytest.mark.parametrize("model", UDC_MODELS, ids=lambda model: str(model.name))
def test_an_ordinary_stick_is_built_on_functionfs(model: UdcModel, backends: object) -> None:
    assert plan(HS_STICK, model, STOCK if backends is STOCK else REBUILT).backend == "functionfs"


@pytest.mark.parametrize("name", ["cdc-acm", "usb-midi", "composite", "interface-gaps"])
def test_what_functionfs_cannot_show_is_built_on_gadgetfs(name: str) -> None:
    made = plan(emulated(name))
    assert (made.backend, made.with_severity(DEGRADED), made.refusals) == ("gadgetfs", (), ())


@pytest.mark.parametrize("name", ["functionfs", "gadgetfs"])
def test_a_backend_can_be_forced(name: str) -> None:
    assert plan(HS_STICK, profile=wishing(backend=name)).backend == name


def test_a_forced_backend_is_not_replaced_where_it_refuses() -> None:
    made = plan(SERIAL, profile=wishing(backend="functionfs"))
    assert made.backend == "functionfs"
    assert [refusal.subject for refusal in made.refusals] == ["interface 1"] * 2


def test_a_backend_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=r"no backend moon\. There are: functionfs, gadgetfs"):
        plan(HS_STICK, profile=wishing(backend="moon"))


def test_a_backend_that_cannot_be_used_is_passed_over() -> None:
    backends = (FUNCTIONFS.without("no configfs here"), STOCK[1])
    assert plan(HS_STICK, backends=backends).backend == "gadgetfs"


def test_a_second_replica_on_gadgetfs_is_refused() -> None:
    taken = STOCK[1].without("in use by another gadgetip: a system has one such replica")
    made = plan(emulated("cdc-acm"), backends=(STOCK[0], taken))
    assert "gadgetfs: in use by another gadgetip: a system has one such replica" in [
        *texts(made, REFUSED)
    ]


def test_where_nobody_can_the_mildest_refusal_speaks_and_names_the_others() -> None:
    made = plan(CAMERA)
    assert made.backend == "gadgetfs"
    (other,) = [d for d in made.with_severity(INFO) if d.subject == "functionfs"]
    assert other.reason.startswith("would not do either: interface 0: FunctionFS takes no cs")
    assert other.reason.endswith("more)")


def test_the_first_of_equals_is_taken() -> None:
    twin = replace(FUNCTIONFS, name="twin")
    assert plan(HS_STICK, backends=(FUNCTIONFS, twin)).backend == "functionfs"
    assert plan(HS_STICK, backends=(twin, FUNCTIONFS)).backend == "twin"


# --- what is said of the circumstances ------------------------------------------------------


def test_an_unknown_controller_is_guessed_and_said() -> None:
    made = make_plan(HS_STICK, UNKNOWN_UDC, STOCK)
    assert texts(made, INFO) == [
        "controller: this controller is not in the table: its endpoints are a guess"
    ]
    assert made.refusals == ()


@pytest.mark.parametrize(
    ("version", "told"), [("5.15.0-rpi", True), ("6.1", False), ("7.0", False)]
)
def test_an_old_kernel_is_told(version: str, told: bool) -> None:
    made = make_plan(HS_STICK, DUMMY_HCD, STOCK, kernel=KernelVersion.parse(version))
    subjects = [deviation.subject for deviation in made.with_severity(DEGRADED)]
    assert subjects == (["kernel"] if told else [])


def test_what_the_worker_is_told() -> None:
    profile = wishing()
    gadget = replace(profile.gadget, forward_reset=False)
    link = replace(profile.link, control_timeout_ms=1500)
    made = plan(HS_STICK, profile=replace(profile, gadget=gadget, link=link))
    assert (made.forward_reset, made.control_limit_s) == (False, 1.5)
    assert (plan(HS_STICK).forward_reset, plan(HS_STICK).control_limit_s) == (True, 5.0)


# --- sticks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [m for m in UDC_MODELS if m is not DWC3 and m is not MUSB_AM335X])
def test_a_high_speed_stick_is_itself(model: UdcModel) -> None:
    made, planned = plan(HS_STICK, model), only(plan(HS_STICK, model))
    assert made.deviations == ()
    assert (made.backend, made.speed, planned.value) == ("functionfs", Speed.HIGH, 1)
    assert list(planned.descriptors) == [Speed.FULL, Speed.HIGH]
    assert data(made, Speed.HIGH) == BOT_HIGH_SPEED[9:]
    assert data(made, Speed.FULL) == BOT_HIGH_SPEED[9:].replace(b"\x00\x02\x00", b"\x40\x00\x00")
    assert sizes(made, Speed.HIGH) == [(0x81, 512, 512), (0x02, 512, 512)]
    assert sizes(made, Speed.FULL) == [(0x81, 512, 64), (0x02, 512, 64)]
    assert {route.shaping for route in planned.routes[Speed.HIGH]} == {Shaping.BOT}
    assert [route.host_address for route in planned.routes[Speed.HIGH]] == [0x81, 0x02]
    assert planned.interfaces == (0,)


def test_a_controller_that_may_send_no_empty_packets() -> None:
    assert texts(plan(HS_STICK, MUSB_AM335X), INFO) == [
        (
            "endpoint 0x81: the driver of musb-am335x says of itself that it sends no zero-length "
            "packets: not verified on hardware"
        )
    ]


def test_a_controller_that_could_do_superspeed_shows_it() -> None:
    assert texts(plan(HS_STICK, DWC3), INFO) == [
        "bcdUSB: the kernel writes 0x0210 for 0x0200 and makes a BOS descriptor"
    ]


def test_a_full_speed_stick_stays_full_speed() -> None:
    made = plan(FS_STICK, DWC2_BCM2835)
    assert made.deviations == ()
    assert made.speed is Speed.FULL
    assert list(only(made).descriptors) == list(only(made).routes) == [Speed.FULL]


def test_a_full_speed_stick_where_the_speed_cannot_be_capped() -> None:
    made = plan(FS_STICK, MUSB_AM335X)
    assert made.speed is Speed.HIGH
    assert texts(made, DEGRADED) == [
        "speed: musb-am335x cannot be capped below high speed: the replica is high-speed"
    ]
    assert sizes(made, Speed.HIGH) == [(0x81, 64, 512), (0x02, 64, 512)]
    assert made.refusals == ()  # the bulk-only shaper knows where transfers end


def test_a_full_speed_controller_that_cannot_be_capped_needs_not_be() -> None:
    assert plan(FS_STICK, MUSB_AM335X, udc_speed=Speed.FULL).speed is Speed.FULL


def test_a_superspeed_stick_with_uas_becomes_bulk_only_on_functionfs() -> None:
    made = functionfs(UAS_STICK, DWC2_BCM2835)
    assert made.speed is Speed.HIGH
    assert texts(made, DEGRADED) == [
        "speed: 480 Mbit/s instead of the device's 5000 Mbit/s: the controller can do no more",
        "interface 0: only its default setting is offered, not 1 (08/06/62)",
        "bMaxPower: the replica says 500 mA, the device 896 mA",
    ]
    assert texts(made, INFO) == [
        "bcdUSB: the kernel writes 0x0200 for 0x0320",
        "BOS descriptor: the kernel makes none at this speed",
    ]
    assert data(made, Speed.HIGH) == BOT_HIGH_SPEED[9:]
    assert sizes(made, Speed.HIGH) == [(0x81, 1024, 512), (0x02, 1024, 512)]
    assert only(made).max_power_ma == 500


def test_at_superspeed_companions_go_along_and_nothing_is_burnt() -> None:
    made = functionfs(UAS_STICK, DWC3)
    assert made.speed is Speed.SUPER
    assert data(made, Speed.SUPER) == bytes.fromhex(
        "090400000208065000 07058102000400 06300f000000 07050202000400 06300f000000"
    )
    assert data(made, Speed.HIGH) == BOT_HIGH_SPEED[9:]
    # A filler has SuperSpeed descriptors: at that speed the host would see it.
    assert only(made).fillers == ()
    assert texts(made, DEGRADED) == [
        "interface 0: only its default setting is offered, not 1 (08/06/62)",
        "endpoint 0x02: becomes 0x01: dwc3 cannot be made to choose this number",
    ]
    assert "BOS descriptor: the kernel's own" in texts(made, INFO)
    assert [route.host_address for route in only(made).routes[Speed.SUPER]] == [0x81, 0x01]
    assert only(made).max_power_ma == 896


def test_a_backend_may_be_slower_than_the_controller() -> None:
    made = plan(UAS_STICK, DWC3, STOCK[1:])
    assert (made.speed, texts(made, DEGRADED)[0]) == (
        Speed.HIGH,
        "speed: 480 Mbit/s instead of the device's 5000 Mbit/s: gadgetfs can do no more",
    )


def test_fillers_reach_the_addresses_of_the_device() -> None:
    made = plan(device(stick(0x83, 0x02)))
    assert made.deviations == ()
    assert [(f.direction, f.transfer_type) for f in only(made).fillers] == [
        (Direction.IN, TransferType.BULK)
    ] * 6
    assert [route.host_address for route in only(made).routes[Speed.HIGH]] == [0x83, 0x02]


def test_addresses_that_cannot_be_reached_are_told() -> None:
    made = plan(device(stick(0x8F, 0x0F)), DWC2_BCM2835)
    assert texts(made, DEGRADED) == [
        "endpoint 0x8f: becomes 0x81: dwc2-bcm2835 cannot be made to choose this number",
        "endpoint 0x0f: becomes 0x01: dwc2-bcm2835 cannot be made to choose this number",
    ]
    routes = only(made).routes[Speed.HIGH]
    assert [(r.address, r.host_address) for r in routes] == [(0x8F, 0x81), (0x0F, 0x01)]


@pytest.mark.parametrize("speed", [Speed.UNKNOWN, Speed.WIRELESS])
def test_a_device_of_unknown_speed_is_taken_for_high_speed(speed: Speed) -> None:
    made = plan(device(BOT_HIGH_SPEED, speed=speed))
    assert made == plan(HS_STICK)
    assert sizes(made, Speed.FULL) == [(0x81, 512, 64), (0x02, 512, 64)]


@pytest.mark.parametrize("udc_speed", [Speed.LOW, Speed.WIRELESS])
def test_a_speed_that_no_controller_has_is_not_believed(udc_speed: Speed) -> None:
    assert plan(HS_STICK, udc_speed=udc_speed) == plan(HS_STICK)


# --- low speed, wakeup ----------------------------------------------------------------------


def test_a_low_speed_keyboard_becomes_full_speed() -> None:
    made = plan(KEYBOARD_LS)
    assert made.speed is Speed.FULL
    assert texts(made, INFO) == [
        "speed: a low-speed device becomes full-speed",
        "bMaxPacketSize0: the controller's 64 instead of 8",
    ]
    assert data(made, Speed.FULL) == KEYBOARD[9:]
    (route,) = only(made).routes[Speed.FULL]
    assert (route.shaping, route.window_urbs, route.transfer_bytes) == (Shaping.INTERRUPT, 2, 8)
    assert route.interval == 10  # milliseconds at the device


@pytest.mark.parametrize("model", UDC_MODELS, ids=lambda model: str(model.name))
def test_wakeup_is_claimed_where_it_can_be_signalled(model: UdcModel) -> None:
    made = plan(KEYBOARD_LS, model)
    assert made.backend == "functionfs"
    assert bool(only(made).bmAttributes & 0x20) is made.remote_wakeup is model.can_signal_wakeup
    told = [text for text in texts(made, DEGRADED) if text.startswith("remote wakeup")]
    assert told == (
        []
        if model.can_signal_wakeup
        else [
            f"remote wakeup: {model.name} cannot signal it, so the replica does not claim it",
        ]
    )
    assert "remote wakeup" not in {d.subject for d in plan(HS_STICK, model).deviations}


def test_gadgetfs_claims_no_wakeup() -> None:
    made = plan(KEYBOARD_LS, DUMMY_HCD, STOCK[1:])
    assert not made.remote_wakeup
    assert only(made).data[Speed.FULL][7] == 0x80
    assert texts(made, DEGRADED) == [
        "remote wakeup: gadgetfs refuses it, so the replica does not claim it"
    ]


# --- packets of another size ----------------------------------------------------------------


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


# --- counts ---------------------------------------------------------------------------------


def test_more_endpoints_than_the_controller_has_are_counted() -> None:
    tree = device(
        configuration(interface(0, 9), *(endpoint(0x81 + n) for n in range(8)), endpoint(0x01))
    )
    count = "endpoints: the device has 8 IN endpoints, dwc2-bcm2835 has room for 7 of them"
    for backends in (STOCK, STOCK[:1], STOCK[1:]):
        assert count in texts(plan(tree, DWC2_BCM2835, backends), REFUSED)
    assert plan(tree, USBIP_VUDC).refusals == ()


def test_more_fifo_than_the_controller_has_is_counted() -> None:
    three_packets = endpoint(0x81, 3, 0x1400, 1)  # three of 1024 bytes a microframe
    tree = device(configuration(interface(0, 1), three_packets))
    for backends in (STOCK[:1], STOCK[1:]):
        assert texts(plan(tree, DWC2_BCM2835, backends), REFUSED) == [
            (
                "endpoints: IN endpoints that need 3072 bytes of FIFO or more: the device has 1, "
                "dwc2-bcm2835 has room for 0"
            )
        ]


def test_a_deviation_in_one_line() -> None:
    assert str(Deviation(INFO, "bcdUSB", "differs")) == "bcdUSB: differs"
    assert [str(severity) for severity in Severity] == ["info", "degraded", "refused"]


def test_what_a_plan_costs() -> None:
    made = plan(device(BOT_HIGH_SPEED, descriptor=DEVICE.replace(bcdUSB=0x0110)))
    assert made.cost == (0, 0, 1)
    worse = replace(made, deviations=(*made.deviations, Deviation(REFUSED, "all", "bad")))
    assert worse.cost == (1, 0, 1) > made.cost
