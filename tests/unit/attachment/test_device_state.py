"""The device follows the host: what it is told, in which order, and what the host is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from gadgetip.attachment.device_state import DeviceState
from gadgetip.errors import GadgetipError
from gadgetip.gadget import Plan, PlannedConfiguration
from gadgetip.gadget.udc_models import DUMMY_HCD
from gadgetip.profiles import IdentityWishes, InterfaceWish
from gadgetip.pump import DeviceChangedError, EndpointRoute, StallError
from gadgetip.usb import SetupPacket, parse_string_descriptor
from tests.unit.gadget.devices import HS_STICK, emulated
from tests.unit.gadget.planning import STOCK, functionfs, plan, wishing


class World:
    """Everything around a `DeviceState`: `log` has what happens, in order."""

    def __init__(self, made: Plan, speed: str, directory: Path) -> None:
        self.log: list[object] = []
        self.notices: list[str] = []
        self.reset_seen = False
        self.stalled = False
        self.stalls: list[object] = []
        """The control requests, as the log has them, that the device refuses."""
        self.noted: list[int] = []
        self.chosen = 0
        self.udc = "udc"
        self.endpoints = self
        (directory / "udc").mkdir()
        (directory / "udc/current_speed").write_text(f"{speed}\n")
        self.is_over = False
        me = cast("Any", self)
        self.state = DeviceState(
            made,
            *(me, me, me, me),
            said=lambda _: None,
            noticed=self.notices.append,
            is_over=lambda _: self.is_over,
        )

    def choose(self, value: int) -> None:
        self.chosen = value

    def forget_reset(self) -> None:
        self.reset_seen = False

    async def control(self, setup: SetupPacket, data: bytes = b"", **_: object) -> bytes:
        self.log.append(
            ("control", setup.bmRequestType, setup.bRequest, setup.wValue, setup.wIndex)
        )
        if self.stalled or self.log[-1] in self.stalls:
            raise StallError(-32)
        return data

    async def fence(self, limit_s: float) -> None:
        self.log.append("fence")

    async def stop(self, interfaces: Collection[int] | None = None) -> None:
        self.log.append(("stop", None if interfaces is None else list(interfaces)))

    async def start(self, routes: tuple[EndpointRoute, ...]) -> None:
        self.log.append(("start", [(r.interface, r.alternate, r.address) for r in routes]))

    # As a `HeldDevice`, where a test makes it one.

    def configured(self, planned: PlannedConfiguration) -> None:
        assert planned.value == 1
        self.noted.clear()

    def note(self, setup: SetupPacket, data: bytes, answer: bytes) -> None:
        assert data == answer  # as this device answers
        self.noted.append(setup.bRequest)

    async def restore(self) -> None:
        self.log += [("held", request) for request in self.noted]

    def taken(self) -> list[object]:
        log, self.log = self.log, []
        return log


Make = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr("gadgetip.gadget.udc.SYSFS_UDC", tmp_path)
    return lambda made, speed="high-speed": World(made, speed, tmp_path)


def run(*steps: Awaitable[object]) -> list[object]:
    async def each() -> list[object]:
        return [await step for step in steps]

    return asyncio.run(each())


def configured(value: int) -> object:
    return "control", 0x00, 0x09, value, 0


def chosen(interface: int, alternate: int) -> object:
    return "control", 0x01, 0x0B, alternate, interface


RESET = ("control", 0x23, 0x03, 4, 0)
STICK = ("start", [(0, 0, 0x81), (0, 0, 0x02)])


def test_the_first_enumeration_leaves_the_device_alone(world: Make) -> None:
    it = world(functionfs(HS_STICK))
    it.reset_seen = True  # every enumeration begins with one
    run(it.state.configure(1))
    assert it.taken() == [("stop", None), STICK]
    assert (it.state.configuration, it.chosen) == (1, 1)


def test_nothing_starts_on_the_endpoints_of_a_later_configuration(world: Make) -> None:
    it = world(functionfs(HS_STICK))
    it.is_over = True
    run(it.state.configure(1))
    assert it.taken() == [("stop", None)]
    run(it.state.disabled())
    it.taken()
    it.is_over = False
    run(it.state.configure(1))
    assert it.taken() == [("stop", None), configured(1), STICK]
    it.is_over = True
    run(it.state.settings_chosen())
    assert STICK not in it.taken()


def test_a_later_one_configures_it_anew(world: Make) -> None:
    it = world(functionfs(HS_STICK))
    run(it.state.configure(1), it.state.disabled())
    it.taken()
    run(it.state.configure(1))
    assert it.taken() == [("stop", None), configured(1), STICK]


@pytest.mark.parametrize("forwarded", [True, False])
def test_a_reset_by_the_host_resets_the_device_unless_the_profile_says_no(
    world: Make, forwarded: bool
) -> None:
    it = world(replace(functionfs(HS_STICK), forward_reset=forwarded))
    run(it.state.configure(1), it.state.disabled())
    it.taken()
    it.reset_seen = True
    run(it.state.configure(1))
    log = it.taken()
    assert log[0] == ("stop", None)
    assert len([each for each in log if each == RESET]) == forwarded
    assert log[-2:] == [configured(1), STICK]
    assert not it.reset_seen


def test_deconfiguring_reaches_the_device_once(world: Make) -> None:
    it = world(functionfs(HS_STICK))
    run(it.state.configure(1))
    it.taken()
    run(it.state.configure(0), it.state.deconfigured())
    assert it.taken() == ["fence", ("stop", None), configured(0)]
    assert not it.state.is_configured


def test_a_device_that_was_configured_again_meanwhile_is_not_deconfigured(world: Make) -> None:
    it = world(functionfs(HS_STICK))
    run(it.state.disabled(), it.state.configure(1), it.state.deconfigured())
    assert configured(0) not in it.taken()


def test_the_second_of_two_configurations(world: Make) -> None:
    it = world(functionfs(emulated("two-configurations")))
    run(it.state.configure(2))
    assert it.taken() == [("stop", None), configured(2), ("start", [(0, 0, 0x82)])]
    run(it.state.configure(1))
    log = it.taken()
    assert log[:3] == ["fence", ("stop", None), configured(1)]


def gadgetfs_plan(name: str, *wishes: InterfaceWish, **identity: str) -> Plan:
    profile = wishing(*wishes, identity=IdentityWishes(**cast("Any", identity)))
    return plan(emulated(name), DUMMY_HCD, STOCK[1:], profile=profile)


def request(it: World, setup: SetupPacket) -> bytes:
    (answer,) = run(it.state.request(setup, b""))
    assert isinstance(answer, bytes)
    return answer


def test_a_setting_is_chosen_between_the_old_endpoints_and_the_new(world: Make) -> None:
    it = world(gadgetfs_plan("four-settings-one-address"))
    assert request(it, SetupPacket.set_configuration(1)) == b""
    assert it.taken()[-1] == ("start", [(0, 0, 0x81), (0, 0, 0x01)])
    assert request(it, SetupPacket.set_interface(0, 3)) == b""
    assert it.taken() == [
        *("fence", ("stop", [0]), chosen(0, 3)),
        ("start", [(0, 3, 0x81), (0, 3, 0x01)]),
    ]


def test_where_the_device_refuses_a_setting_the_old_one_goes_on(world: Make) -> None:
    it = world(gadgetfs_plan("four-settings-one-address"))
    request(it, SetupPacket.set_configuration(1))
    it.taken()
    it.stalled = True
    with pytest.raises(StallError):
        request(it, SetupPacket.set_interface(0, 2))
    assert it.taken()[-1] == ("start", [(0, 0, 0x81), (0, 0, 0x01)])


def test_a_setting_with_isochronous_endpoints_is_stalled(world: Make) -> None:
    it = world(gadgetfs_plan("headset"), "full-speed")
    request(it, SetupPacket.set_configuration(1))
    assert it.taken()[-1] == ("start", [(3, 0, 0x83)])
    with pytest.raises(GadgetipError, match="setting 1 of interface 1 is not carried"):
        request(it, SetupPacket.set_interface(1, 1))
    assert it.taken() == []
    assert request(it, SetupPacket.set_interface(1, 0)) == b""


def test_a_setting_before_the_configuration_is_stalled(world: Make) -> None:
    it = world(gadgetfs_plan("headset"), "full-speed")
    with pytest.raises(GadgetipError, match="has not configured"):
        request(it, SetupPacket.set_interface(1, 0))


def test_a_frozen_setting_is_the_hosts_default(world: Make) -> None:
    made = gadgetfs_plan("alternate-setting-five", InterfaceWish(0, alternate_setting=5))
    it = world(made)
    request(it, SetupPacket.set_configuration(1))
    log = it.taken()
    assert log[1] == chosen(0, 5)
    assert {key[:2] for key in cast("Any", log[-1])[1]} == {(0, 0)}
    assert request(it, SetupPacket(0x81, 0x0A, 0, 0, 1)) == b"\0"  # GET_INTERFACE
    request(it, SetupPacket.set_interface(0, 0))
    assert chosen(0, 5) in it.taken()
    with pytest.raises(GadgetipError, match="is frozen"):
        request(it, SetupPacket.set_interface(0, 5))


def test_the_profiles_texts_are_answered_and_the_others_asked_for(world: Make) -> None:
    it = world(gadgetfs_plan("cdc-acm", serialnumber="BENCH-7"))
    own = request(it, SetupPacket.get_descriptor(3, 3, 0x0409, 255))
    assert parse_string_descriptor(own) == "BENCH-7"
    assert it.taken() == []
    request(it, SetupPacket.get_descriptor(3, 2, 0x0409, 255))
    assert it.taken() == [("control", 0x80, 0x06, 0x0302, 0x0409)]


def test_everything_else_goes_to_the_device_as_it_is(world: Make) -> None:
    it = world(gadgetfs_plan("cdc-acm"))
    request(it, SetupPacket(0xA1, 0x21, 0x1234, 0xAB00, 7))
    assert it.taken() == [("control", 0xA1, 0x21, 0x1234, 0xAB00)]


def test_a_lower_speed_than_planned_is_warned_of(world: Make) -> None:
    it = world(functionfs(emulated("bulk-echo")), "full-speed")
    run(it.state.configure(1))
    (notice,) = it.notices
    assert "at 12 Mbit/s the packets of " in notice
    assert "another size" in notice


# --- a device that was imported anew ----------------------------------------------------------


def test_a_device_is_brought_to_where_the_host_left_it(world: Make) -> None:
    it = world(gadgetfs_plan("four-settings-one-address"))
    request(it, SetupPacket.set_configuration(1))
    request(it, SetupPacket.set_interface(0, 3))
    it.taken()
    run(it.state.restore())
    assert it.taken() == [configured(1), chosen(0, 3)]  # and what runs is the pump's


def test_the_default_settings_need_no_word(world: Make) -> None:
    it = world(gadgetfs_plan("four-settings-one-address"))
    request(it, SetupPacket.set_configuration(1))
    request(it, SetupPacket.set_interface(0, 3))
    request(it, SetupPacket.set_interface(0, 0))
    it.taken()
    run(it.state.restore())
    assert it.taken() == [configured(1)]


def test_a_frozen_setting_is_chosen_again(world: Make) -> None:
    it = world(gadgetfs_plan("alternate-setting-five", InterfaceWish(0, alternate_setting=5)))
    request(it, SetupPacket.set_configuration(1))
    it.taken()
    run(it.state.restore())
    assert it.taken() == [configured(1), chosen(0, 5)]


def test_the_second_of_two_configurations_is_restored(world: Make) -> None:
    it = world(functionfs(emulated("two-configurations")))
    run(it.state.configure(2))
    it.taken()
    run(it.state.restore())
    assert it.taken() == [configured(2)]


@pytest.mark.parametrize("steps", [(), ("configure", "disabled"), ("configure", "deconfigured")])
def test_what_the_host_does_not_use_is_as_it_was(world: Make, steps: tuple[str, ...]) -> None:
    """A device needs a configuration again where it had one, and nothing more."""
    it = world(functionfs(HS_STICK))
    if "configure" in steps:
        run(it.state.configure(1))
    if "disabled" in steps:
        run(it.state.disabled())
    if "deconfigured" in steps:
        run(it.state.configure(0))
    it.taken()
    run(it.state.restore())
    assert it.taken() == [configured(0 if "deconfigured" in steps else 1)]


@pytest.mark.parametrize("refused", [configured(1), chosen(0, 3)])
def test_a_device_that_does_not_get_there_is_another_one(world: Make, refused: object) -> None:
    it = world(gadgetfs_plan("four-settings-one-address"))
    request(it, SetupPacket.set_configuration(1))
    request(it, SetupPacket.set_interface(0, 3))
    it.stalls = [refused]
    with pytest.raises(DeviceChangedError, match="it does not take"):
        run(it.state.restore())


def test_what_the_host_asks_for_is_noted_and_restored_last(world: Make) -> None:
    it = world(gadgetfs_plan("cdc-acm"))
    it.state._held = cast("Any", it)
    request(it, SetupPacket.set_configuration(1))
    request(it, SetupPacket(0x21, 0x20, 0, 0, 7))
    it.taken()
    run(it.state.restore())
    assert it.taken() == [configured(1), ("held", 0x20)]
