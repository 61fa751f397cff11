"""The device qualifier that the host will read, and when that is another than the device's."""

from dataclasses import replace

import pytest

from gadgetip.gadget import Plan, Severity
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC3, USBIP_VUDC, UdcModel
from gadgetip.usb import Configuration, DeviceTree, Speed

from .devices import FS_STICK, HS_STICK, UAS_STICK
from .planning import functionfs, gadgetfs

OWN = bytes.fromhex("0a 06 00 02 00 00 00 40 01 00")
"""Of a device with one configuration at its other speed, as the kernel makes it too."""

NO_OTHER_SPEED = OWN[:8] + b"\0\0"
FULL_SPEED_ONLY = replace(DUMMY_HCD, name="full-speed-only", max_speed=Speed.FULL)


def told(made: Plan) -> list[str]:
    found = [each for each in made.deviations if each.subject == "device qualifier"]
    assert {each.severity for each in found} <= {Severity.INFO}
    return [each.reason for each in found]


def asked(tree: DeviceTree, qualifier: bytes | None) -> DeviceTree:
    return replace(tree, qualifier=qualifier)


@pytest.mark.parametrize(
    ("tree", "function", "raw"),
    [
        (asked(HS_STICK, OWN), [], []),
        (
            asked(HS_STICK, b""),
            ["the kernel makes one, the device has none"],
            ["the kernel makes one, the device has none"],
        ),
        (
            asked(HS_STICK, OWN[:7] + b"\x08\x01\0"),
            [f"the kernel's own, {OWN.hex(' ')} instead of 0a 06 00 02 00 00 00 08 01 00"],
            [f"the kernel's own, {OWN.hex(' ')} instead of 0a 06 00 02 00 00 00 08 01 00"],
        ),
        # At full speed the composite core answers and knows no configuration of the other speed.
        (asked(FS_STICK, b""), ["the kernel makes one, the device has none"], []),
        (asked(FS_STICK, NO_OTHER_SPEED), [], ["there is none at this speed"]),
        (
            asked(FS_STICK, OWN),
            [f"the kernel's own, {NO_OTHER_SPEED.hex(' ')} instead of {OWN.hex(' ')}"],
            ["there is none at this speed"],
        ),
    ],
)
def test_by_speed_and_backend(tree: DeviceTree, function: list[str], raw: list[str]) -> None:
    assert told(functionfs(tree)) == function
    assert told(gadgetfs(tree)) == raw


@pytest.mark.parametrize("tree", [HS_STICK, FS_STICK])
def test_nothing_is_said_of_a_qualifier_that_nobody_asked_for(tree: DeviceTree) -> None:
    assert told(functionfs(tree)) == told(gadgetfs(tree)) == []


def test_a_controller_of_one_speed_has_none() -> None:
    tree = asked(FS_STICK, NO_OTHER_SPEED)
    assert told(functionfs(tree, FULL_SPEED_ONLY)) == ["there is none at this speed"]
    assert told(functionfs(asked(FS_STICK, b""), FULL_SPEED_ONLY)) == []


def test_a_superspeed_controller_has_a_version_of_its_own() -> None:
    tree = asked(HS_STICK, OWN)
    (reason,) = told(functionfs(tree, DWC3))
    assert reason.startswith("the kernel's own, 0a 06 10 02 ")
    assert told(gadgetfs(tree, DWC3)) == []


@pytest.mark.parametrize("model", [DWC3, DUMMY_HCD])
def test_superspeed_has_no_qualifier(model: UdcModel) -> None:
    assert told(functionfs(asked(UAS_STICK, b""), model)) == []


def test_configurations_are_counted() -> None:
    first = HS_STICK.configurations[0]
    second = Configuration(
        first.descriptor.replace(bConfigurationValue=2), first.leading, first.settings
    )
    two = replace(
        HS_STICK,
        device=HS_STICK.device.replace(bNumConfigurations=2),
        configurations=(first, second),
        qualifier=OWN[:8] + b"\2\0",
    )
    assert told(functionfs(two, USBIP_VUDC)) == []
    assert told(gadgetfs(two, USBIP_VUDC)) == [
        f"the kernel's own, {OWN.hex(' ')} instead of {OWN[:8].hex(' ')} 02 00"
    ]
