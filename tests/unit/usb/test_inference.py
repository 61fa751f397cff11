"""What a file of descriptors does not say."""

import pytest
from hypothesis import given

from gadgetip.usb import (
    US_ENGLISH,
    DeviceDescriptor,
    DeviceTree,
    Speed,
    StringTable,
    infer_speed,
    parse_configuration,
    with_placeholder_strings,
)
from gadgetip.usb.inference import string_indices

from . import examples, strategies


def tree(*configurations: bytes, bcd_usb: int = 0x0200, packet0: int = 64) -> DeviceTree:
    device = DeviceDescriptor.new(
        bcdUSB=bcd_usb,
        bMaxPacketSize0=packet0,
        iManufacturer=3,
        iSerialNumber=1,
        bNumConfigurations=len(configurations),
    )
    return DeviceTree(device, tuple(map(parse_configuration, configurations)))


NOTHING = bytes.fromhex("090209000001008032")
FULL_SPEED_STICK = examples.BOT_HIGH_SPEED.replace(b"\x00\x02\x00", b"\x40\x00\x00")
LARGE_REPORTS = examples.KEYBOARD.replace(b"\x08\x00\x0a", b"\x10\x00\x0a")


@pytest.mark.parametrize(
    ("configuration", "bcd_usb", "packet0", "speed"),
    [
        (examples.BOT_HIGH_SPEED, 0x0200, 64, Speed.HIGH),
        (examples.BOT_SUPER_SPEED, 0x0300, 9, Speed.SUPER),
        (examples.BOT_SUPER_SPEED, 0x0210, 64, Speed.HIGH),  # its descriptors at another speed
        (FULL_SPEED_STICK, 0x0200, 64, Speed.FULL),
        (FULL_SPEED_STICK, 0x0110, 8, Speed.FULL),
        (examples.KEYBOARD, 0x0110, 8, Speed.LOW),
        (examples.KEYBOARD, 0x0200, 8, Speed.LOW),
        (examples.KEYBOARD, 0x0200, 64, Speed.HIGH),
        (examples.KEYBOARD, 0x0110, 64, Speed.FULL),
        (LARGE_REPORTS, 0x0110, 8, Speed.FULL),  # no low-speed packet
        (examples.WEBCAM, 0x0200, 64, Speed.HIGH),
        (examples.MICROPHONE, 0x0110, 8, Speed.FULL),  # isochronous
        (NOTHING, 0x0200, 64, Speed.HIGH),
    ],
)
def test_the_speed(configuration: bytes, bcd_usb: int, packet0: int, speed: Speed) -> None:
    assert infer_speed(tree(configuration, bcd_usb=bcd_usb, packet0=packet0)) is speed


def test_all_configurations_are_looked_at() -> None:
    assert infer_speed(tree(FULL_SPEED_STICK, examples.BOT_HIGH_SPEED)) is Speed.HIGH


def test_placeholders_name_their_index() -> None:
    made = with_placeholder_strings(tree(examples.SERIAL_COMPOSITE))
    assert made.strings == StringTable(
        (US_ENGLISH,), {(i, US_ENGLISH): f"(string {i})" for i in (3, 1, 5)}
    )
    silent = tree(examples.BOT_HIGH_SPEED)
    silent_device = silent.device.replace(iManufacturer=0, iSerialNumber=0)
    assert with_placeholder_strings(
        DeviceTree(silent_device, silent.configurations)
    ).strings == StringTable()  # fmt: skip


@strategies.unhurried
@given(strategies.devices())
def test_any_device_has_a_speed_and_a_text_for_each_index(device: DeviceTree) -> None:
    assert infer_speed(device) in {Speed.LOW, Speed.FULL, Speed.HIGH, Speed.SUPER}
    indices = string_indices(device)
    assert len(set(indices)) == len(indices)
    assert 0 not in indices
    named = with_placeholder_strings(device)
    assert {index for index, _ in named.strings.texts} == set(indices)
    assert (named.device, named.configurations) == (device.device, device.configurations)
