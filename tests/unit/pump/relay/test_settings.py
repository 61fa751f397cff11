"""Which interfaces the relay knows more about than that they have endpoints."""

from gadgetip.pump.relay import MAX_SETTINGS, RelaySetting, relay_settings
from tests.unit.gadget.devices import (
    HS_STICK,
    KEYBOARD_LS,
    UAS_STICK,
    configuration,
    device,
    endpoint,
    interface,
)

BULK_ONLY = (8, 6, 0x50)


def test_a_stick() -> None:
    [setting] = relay_settings(HS_STICK)
    assert setting == RelaySetting(1, 0, 0, 2, 1, 512)


def test_uas_is_another_protocol() -> None:
    assert relay_settings(UAS_STICK) == [RelaySetting(1, 0, 0, 2, 1, 1024)]


def test_what_is_no_disk() -> None:
    assert relay_settings(KEYBOARD_LS) == []


def test_one_that_has_not_its_two_pipes() -> None:
    lame = configuration(interface(0, 1, BULK_ONLY), endpoint(0x81))
    third = configuration(
        interface(0, 3, BULK_ONLY), endpoint(0x81), endpoint(0x02), endpoint(0x83)
    )
    assert relay_settings(device(lame)) == relay_settings(device(third)) == []


def test_more_than_there_is_memory_for() -> None:
    many = configuration(
        *(
            part
            for number in range(6)
            for part in (
                interface(number, 2, BULK_ONLY),
                endpoint(0x81 + number),
                endpoint(0x01 + number),
            )
        ),
        interfaces=6,
    )
    found = relay_settings(device(many))
    assert [each.interface for each in found] == list(range(MAX_SETTINGS))
