"""What a host is told at the loss of the link, and what the device is asked for behind it."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from gadgetip.attachment.held_device import HeldDevice, HeldInput
from gadgetip.errors import LinkLostError
from gadgetip.gadget import Holdable, HoldPlan, Plan
from gadgetip.pump import ControlTimeoutError, StallError
from gadgetip.usb import SetupPacket
from tests.system.devices.hid import KEYBOARD_REPORTS, MOUSE_REPORTS
from tests.unit.gadget.devices import KEYBOARD_LS, configuration, device, endpoint, interface
from tests.unit.gadget.planning import functionfs, plan
from tests.unit.usb.examples import KEYBOARD_AND_MOUSE

TWO_INPUTS = device(
    configuration(
        interface(0, 1, (3, 1, 1)) + endpoint(0x81, 3, 8, 4),
        interface(1, 1, (3, 1, 2)) + endpoint(0x82, 3, 8, 4),
        interfaces=2,
    )
)
A = bytes.fromhex("0000040000000000")
SHIFT = bytes.fromhex("0200000000000000")
NOTHING = bytes(8)

SET_BOOT, SET_REPORT_PROTOCOL = SetupPacket(0x21, 0x0B, 0, 0, 0), SetupPacket(0x21, 0x0B, 1, 0, 0)
LIGHTS = SetupPacket(0x21, 0x09, 0x0200, 0, 1)
IDLE = SetupPacket(0x21, 0x0A, 0, 0, 0)


def report_descriptor(number: int) -> SetupPacket:
    return SetupPacket(0x81, 0x06, 0x2200, number, 255)


class World:
    """The stream and the pump around a `HeldDevice`."""

    def __init__(self, made: Plan, interfaces: dict[int, Holdable] | None = None) -> None:
        self.inserted: list[tuple[int, bytes]] = []
        self.asked: list[tuple[SetupPacket, bytes]] = []
        self.notices: list[str] = []
        self.observers: dict[int, Callable[[bytes], None]] = {}
        self.errors: list[Exception] = []
        numbers = made.configurations[0].interfaces
        kinds = interfaces or dict.fromkeys(numbers, Holdable.INPUT)
        me = cast("Any", self)
        self.held = HeldDevice(
            HoldPlan(30, kinds, 0x0403), me, me, control_limit_s=1, noticed=self.notices.append
        )
        self.made = made
        self.configure()

    def configure(self) -> None:
        self.held.configured(self.made.configurations[0])

    def observe(self, address: int, observer: Callable[[bytes], None]) -> None:
        self.observers[address] = observer

    def insert(self, address: int, data: bytes) -> None:
        self.inserted.append((address, data))

    async def control(self, setup: SetupPacket, data: bytes = b"", *, limit_s: float) -> bytes:
        assert limit_s == 1
        self.asked.append((setup, data))
        if self.errors:
            raise self.errors.pop(0)
        return b""

    def told_at_the_loss(self) -> list[tuple[int, bytes]]:
        self.held.link_lost()
        inserted, self.inserted = self.inserted, []
        return inserted


def keyboard() -> World:
    it = World(functionfs(KEYBOARD_LS))
    it.held.note(report_descriptor(0), b"", KEYBOARD_REPORTS)
    return it


def test_keys_are_let_go_once() -> None:
    it = keyboard()
    it.observers[0x81](A)
    assert it.told_at_the_loss() == [(0x81, NOTHING)]
    assert it.told_at_the_loss() == []  # lost again in the middle
    it.observers[0x81](SHIFT)
    assert it.told_at_the_loss() == [(0x81, NOTHING)]


def test_where_nothing_is_pressed_nothing_is_said() -> None:
    it = keyboard()
    assert it.told_at_the_loss() == []
    it.observers[0x81](A)
    it.observers[0x81](NOTHING)
    it.observers[0x81](b"")
    assert it.told_at_the_loss() == []


def test_each_interface_and_each_report_is_let_go_of() -> None:
    it = World(plan(TWO_INPUTS))
    it.held.note(report_descriptor(0), b"", KEYBOARD_AND_MOUSE)
    it.held.note(report_descriptor(1), b"", MOUSE_REPORTS)
    it.observers[0x81](bytes.fromhex("01020400000000"))
    it.observers[0x81](bytes.fromhex("02010500"))
    it.observers[0x82](bytes.fromhex("010102"))
    assert it.told_at_the_loss() == [
        (0x81, bytes.fromhex("01000000000000")),
        (0x81, bytes.fromhex("02000000")),
        (0x82, bytes(3)),
    ]


def test_the_boot_protocol_has_no_ids() -> None:
    it = World(functionfs(KEYBOARD_LS))
    it.held.note(report_descriptor(0), b"", KEYBOARD_AND_MOUSE)
    it.held.note(SET_BOOT, b"", b"")
    it.observers[0x81](bytes.fromhex("0100040000000000"))  # Ctrl, and no report id
    assert it.told_at_the_loss() == [(0x81, NOTHING)]
    it.held.note(SET_REPORT_PROTOCOL, b"", b"")
    it.observers[0x81](bytes.fromhex("01020400000000"))
    assert it.told_at_the_loss() == [(0x81, bytes.fromhex("01000000000000"))]


def test_a_configuration_ends_the_boot_protocol() -> None:
    """A BIOS chose it; the system that came after it configured the keyboard and did not."""
    it = World(functionfs(KEYBOARD_LS))
    it.held.note(report_descriptor(0), b"", KEYBOARD_AND_MOUSE)
    it.held.note(SET_BOOT, b"", b"")
    it.observers[0x81](A)
    it.configure()
    assert it.told_at_the_loss() == []  # what was pressed for the BIOS
    it.observers[0x81](bytes.fromhex("01020400000000"))
    assert it.told_at_the_loss() == [(0x81, bytes.fromhex("01000000000000"))]


def test_reports_that_nobody_has_described_stay() -> None:
    held = HeldInput()
    held.passed(A)
    assert held.neutral() == []


@pytest.mark.parametrize(
    "setup",
    [
        SetupPacket(0x80, 0x06, 0x2200, 0, 255),  # the device's
        SetupPacket(0x81, 0x06, 0x2100, 0, 9),  # the HID descriptor
        SetupPacket(0x81, 0x06, 0x2200, 5, 255),  # an interface that is none
    ],
)
def test_other_answers_are_no_report_descriptor(setup: SetupPacket) -> None:
    it = keyboard()
    it.held.note(setup, b"", MOUSE_REPORTS)
    it.observers[0x81](A)
    assert it.told_at_the_loss() == [(0x81, NOTHING)]


def test_what_the_host_had_asked_for_is_asked_again() -> None:
    it = keyboard()
    it.held.note(IDLE, b"", b"")
    it.held.note(LIGHTS, b"\x01", b"")
    it.held.note(LIGHTS, b"\x03", b"")
    asyncio.run(it.held.restore())
    assert it.asked == [(IDLE, b""), (LIGHTS, b"\x03")]
    assert it.notices == []


@pytest.mark.parametrize("error", [StallError(-32), ControlTimeoutError("no answer")])
def test_what_the_device_refuses_is_said(error: Exception) -> None:
    it = keyboard()
    it.held.note(IDLE, b"", b"")
    it.held.note(LIGHTS, b"\x01", b"")
    it.errors.append(error)
    asyncio.run(it.held.restore())
    assert [setup for setup, _ in it.asked] == [IDLE, LIGHTS]
    (notice,) = it.notices
    assert "after the link was lost the device did not take" in notice


def test_a_link_that_is_lost_again_ends_it() -> None:
    it = keyboard()
    it.held.note(IDLE, b"", b"")
    it.held.note(LIGHTS, b"\x01", b"")
    it.errors.append(LinkLostError("gone"))
    with pytest.raises(LinkLostError):
        asyncio.run(it.held.restore())
    asyncio.run(it.held.restore())
    assert [setup for setup, _ in it.asked] == [IDLE, IDLE, LIGHTS]


def test_a_configuration_forgets_what_was_asked_for() -> None:
    it = keyboard()
    it.held.note(LIGHTS, b"\x01", b"")
    it.configure()
    asyncio.run(it.held.restore())
    assert it.asked == []


@pytest.mark.parametrize(
    ("setup", "may"),
    [
        (SetupPacket.get_descriptor(1, 0, 0, 18), True),
        (SetupPacket.set_configuration(1), True),
        (SetupPacket.set_interface(0, 1), True),
        (SetupPacket(0xC0, 5, 0, 0, 2), True),  # a question
        (LIGHTS, True),
        (SetupPacket(0x40, 0x03, 0x4138, 0, 0), False),  # no adapter
        (SetupPacket(0x21, 0x09, 0x0300, 0, 8), False),  # a feature report
        (SetupPacket(0x21, 0xFF, 0, 0, 0), False),
    ],
)
def test_what_may_be_repeated(setup: SetupPacket, may: bool) -> None:
    assert keyboard().held.may_repeat(setup) is may


def test_only_the_inputs_are_observed() -> None:
    it = World(plan(TWO_INPUTS), {0: Holdable.SERIAL, 1: Holdable.INPUT})
    assert set(it.observers) == {0x82}
    assert it.held.may_repeat(SetupPacket(0x40, 0x03, 0x4138, 0, 0))
