"""How `lsusb -v` is read, and how what differs is matched with what was announced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.system import lsusb

DEVICE = """
Bus 003 Device 002: ID 1d6b:010d Linux Foundation Composite
Device Descriptor:
  bLength                18
  bcdUSB               2.00
  iProduct                2 Composite
  bNumConfigurations      1
  Configuration Descriptor:
    bLength                 9
    wTotalLength       0x0029
    bNumInterfaces          1
    bConfigurationValue     1
    bmAttributes         0xa0
      (Bus Powered)
      Remote Wakeup
    MaxPower              100mA
    Interface Descriptor:
      bInterfaceNumber        0
      bAlternateSetting       0
      bNumEndpoints           1
      Endpoint Descriptor:
        bEndpointAddress     0x81  EP 1 IN
        bmAttributes            3
          Transfer Type            Interrupt
        bInterval               9
    Interface Descriptor:
      bInterfaceNumber        0
      bAlternateSetting       1
      bNumEndpoints           0
Device Status:     0x0000
  (Bus Powered)
"""


def deviation(subject: str, reason: str = "because") -> dict[str, str]:
    return {"severity": "info", "subject": subject, "reason": reason}


def test_places_are_named_as_a_person_would() -> None:
    places = lsusb.places(DEVICE)
    interface = ("device", "configuration 1", "interface 0")
    assert places["device", "bcdUSB"] == "2.00"
    assert places["device", "iProduct"] == "2 Composite"
    assert places[*interface, "endpoint 0x81", "bInterval"] == "9"
    assert ("device", "configuration 1", "interface 0 setting 1", "bNumEndpoints") in places
    assert places["device", "Device Status"] == "0x0000"


def test_the_place_on_the_bus_is_no_difference() -> None:
    lsusb.assert_as_announced(DEVICE, DEVICE.replace("Bus 003 Device 002", "Bus 9 Device 7"), [])


@pytest.mark.parametrize(
    ("old", "new", "subject", "reason"),
    [
        ("2.00", "2.10", "bcdUSB", ""),
        ("2 Composite", "1 Composite", "iProduct", ""),
        ("2 Composite", "2 Compos", "product", ""),
        ("100mA", "98mA", "bMaxPower", ""),
        ("bInterval               9", "bInterval 7", "speed", ""),
        ("bInterval               9", "bInterval 7", "endpoint 0x81", ""),
        ("bInterval               9", "bInterval 7", "interface 0", ""),
        ("0x81  EP 1 IN", "0x82  EP 2 IN", "endpoint 0x81", "becomes 0x82: no such number"),
        ("0xa0\n      (Bus Powered)\n      Remote Wakeup", "0x80", "remote wakeup", ""),
    ],
)
def test_a_difference_is_matched(old: str, new: str, subject: str, reason: str) -> None:
    assert old in DEVICE
    replica = DEVICE.replace(old, new)
    lsusb.assert_as_announced(DEVICE, replica, [deviation(subject, reason)])
    with pytest.raises(AssertionError, match="without a word"):
        lsusb.assert_as_announced(DEVICE, replica, [])
    with pytest.raises(AssertionError, match="without a word"):
        lsusb.assert_as_announced(DEVICE, replica, [deviation("languages")])


def test_a_setting_that_is_missing_and_what_follows_from_it() -> None:
    begin = DEVICE.index("    Interface Descriptor:\n      bInterfaceNumber        0\n      bAlt")
    second = DEVICE.index("    Interface Descriptor:", begin + 1)
    replica = DEVICE[:second] + DEVICE[DEVICE.index("Device Status") :]
    replica = replica.replace("0x0029", "0x0020")
    lsusb.assert_as_announced(DEVICE, replica, [deviation("interface 0", "only its default")])
    with pytest.raises(AssertionError, match="interface 0 setting 1"):
        lsusb.assert_as_announced(DEVICE, replica, [deviation("interface 1")])


def test_a_field_that_was_announced_and_does_not_differ() -> None:
    with pytest.raises(AssertionError, match="nothing differs"):
        lsusb.assert_as_announced(DEVICE, DEVICE, [deviation("bcdUSB")])
    lsusb.assert_as_announced(DEVICE, DEVICE, [deviation("isochronous data", "unproved")])


@given(st.lists(st.text(max_size=20), max_size=12))
def test_any_text_is_read(lines: list[str]) -> None:
    text = "Device Descriptor:\n" + "\n".join(lines)
    assert lsusb.differences(text, text) == []
