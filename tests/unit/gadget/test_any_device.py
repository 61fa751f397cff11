"""What holds of every device on every controller."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.errors import GadgetipError, RefusedError
from gadgetip.gadget import Capabilities, Plan, PlannedConfiguration, make_plan
from gadgetip.gadget.udc_models import UDC_MODELS, UNKNOWN_UDC, UdcModel
from gadgetip.pump import Shaping
from gadgetip.usb import Configuration, DeviceTree, Endpoint, Speed, TransferType
from tests.emulated.devices import DEVICES
from tests.unit.usb import strategies
from tests.unit.usb.examples import CONFIGURATIONS

from .devices import configuration, device, emulated, endpoint, interface
from .host_view import unnamed_differences
from .planning import REBUILT, STOCK
from .plausible import plausible_devices

MODELS = (*UDC_MODELS, UNKNOWN_UDC)
PROCESSOR_LIMIT_S = 0.2
FORCED = (STOCK, REBUILT, REBUILT[:1], REBUILT[1:])
models = st.sampled_from(MODELS)
backends = st.sampled_from(FORCED)
speeds = st.sampled_from(Speed)


def check(tree: DeviceTree, model: UdcModel, backends: tuple[Capabilities, ...]) -> Plan | None:
    """Plan and look at everything that must hold; None for a device that has nothing to plan."""
    try:
        made = make_plan(tree, model, backends)
    except RefusedError:
        assert not tree.configurations
        return None
    assert made == make_plan(tree, model, backends)  # the same input, the same output
    for deviation in made.deviations:
        assert str(deviation).replace("\u00a0", " ").isprintable()
        assert deviation.reason
    assert len(set(made.deviations)) == len(made.deviations)
    if made.refusals:
        return made
    assert unnamed_differences(tree, made, model) == []
    for planned in made.configurations:
        own = tree.configuration(planned.value)
        assert max(planned.descriptors) == max(planned.routes) == made.speed
        assert Speed.FULL in planned.descriptors
        for speed, routes in planned.routes.items():
            keys = [(route.interface, route.alternate, route.address) for route in routes]
            assert len(set(keys)) == len(keys)
            assert set(keys) == set(carried(own, planned))
            hosts = {(r.address, r.host_address) for r in routes}
            assert len({host for _, host in hosts}) == len({own for own, _ in hosts})
            if planned.data:
                assert set(keys) == set(planned.endpoint_files)
                assert all(speed in planned.endpoint_descriptors[key] for key in keys)
        assert_the_kernel_takes(planned, made)
    return made


def carried(own: Configuration, planned: PlannedConfiguration) -> Iterator[tuple[int, int, int]]:
    """Every endpoint that has data and that the host can choose, by the host's setting."""
    for setting in own.settings:
        number, alternate = setting.interface, setting.alternate
        if number not in planned.interfaces or (alternate and not planned.data):
            continue
        for each in setting.endpoints:
            if moves_data(each):
                yield number, alternate, each.address


def moves_data(endpoint: Endpoint) -> bool:
    kind = endpoint.descriptor.transfer_type
    return kind in {TransferType.BULK, TransferType.INTERRUPT}


def assert_the_kernel_takes(planned: PlannedConfiguration, made: Plan) -> None:
    """The same endpoints in the same order at every speed; and what GadgetFS checks by itself."""
    addresses = {
        speed: [(route.address, route.host_address) for route in routes]
        for speed, routes in planned.routes.items()
    }
    assert len({tuple(each) for each in addresses.values()}) == 1
    for data in planned.data.values():
        assert data[0] == 9
        assert data[5] == planned.value != 0
        assert data[7] & 0x80
        assert not data[7] & 0x20
        assert len(data) == int.from_bytes(data[2:4], "little")
    for route in planned.routes[made.speed]:
        assert route.window_urbs > 0
        assert route.transfer_bytes >= route.device_max_packet > 0
        if route.shaping in {Shaping.PACKET, Shaping.INTERRUPT, Shaping.UAS}:
            assert route.device_max_packet == route.host_max_packet


@settings(strategies.unhurried, max_examples=60)
@given(strategies.devices(), speeds, models, backends)
def test_whatever_parses_gets_a_plan_or_a_reason(
    tree: DeviceTree, speed: Speed, model: UdcModel, backends: tuple[Capabilities, ...]
) -> None:
    check(DeviceTree(tree.device, tree.configurations, speed=speed), model, backends)


@settings(strategies.unhurried, max_examples=150)
@given(plausible_devices(), models, backends)
def test_every_difference_of_a_device_is_told(
    tree: DeviceTree, model: UdcModel, backends: tuple[Capabilities, ...]
) -> None:
    check(tree, model, backends)


@settings(strategies.unhurried, max_examples=60)
@given(plausible_devices(), models, backends, speeds)
def test_whatever_the_controller_says_of_its_speed(
    tree: DeviceTree, model: UdcModel, backends: tuple[Capabilities, ...], udc_speed: Speed
) -> None:
    try:
        made = make_plan(tree, model, backends, udc_speed=udc_speed)
    except GadgetipError:
        return
    assert made.speed in {Speed.FULL, Speed.HIGH, Speed.SUPER}
    if udc_speed in {Speed.FULL, Speed.HIGH, Speed.SUPER}:
        assert made.speed <= udc_speed


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.name))
@pytest.mark.parametrize("name", sorted(DEVICES))
def test_devices_that_one_may_buy(name: str, model: UdcModel) -> None:
    tree = emulated(name)
    for each in FORCED:
        before = time.process_time()
        made = check(tree, model, each)
        assert made is not None
        assert time.process_time() - before < 3 * PROCESSOR_LIMIT_S  # it plans twice, and checks


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.name))
@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_devices_from_the_field(name: str, model: UdcModel) -> None:
    tree = device(CONFIGURATIONS[name], speed=Speed.SUPER if "SuperSpeed" in name else Speed.HIGH)
    for each in FORCED:
        assert check(tree, model, each) is not None


@settings(strategies.unhurried, max_examples=40)
@given(plausible_devices(), models)
def test_a_plan_takes_no_time(tree: DeviceTree, model: UdcModel) -> None:
    before = time.process_time()
    make_plan(tree, model, STOCK)
    assert time.process_time() - before < PROCESSOR_LIMIT_S


@pytest.mark.parametrize("backends", [STOCK[:1], REBUILT[1:]], ids=["functionfs", "gadgetfs"])
def test_64_kilobytes_of_settings_take_no_time_either(backends: tuple[Capabilities, ...]) -> None:
    settings = [
        interface(n, 1, alternate=a) + endpoint(0x81 + n) for n in range(15) for a in range(256)
    ]
    tree = device(configuration(*settings, interfaces=15))
    before = time.process_time()
    made = make_plan(tree, UNKNOWN_UDC, backends)
    assert time.process_time() - before < 10 * PROCESSOR_LIMIT_S
    assert bool(made.refusals) is (backends != STOCK[:1])
