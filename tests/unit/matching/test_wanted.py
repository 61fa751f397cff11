"""A device that is wanted by the tables of a configuration."""

import pytest

from gadgetip.matching import DeviceFacts, DeviceSelector, Match, MatchSelector, Wanted

SERIAL_PORT = Match(ids=("0483:5740",))
BOOTLOADER = Match(ids=("0483:df11",), serials=("A*", "B"), excluded=Match(names=("x",)))


def test_a_device_and_its_bootloader_are_one_wish() -> None:
    wanted = MatchSelector((SERIAL_PORT, BOOTLOADER))
    assert wanted.matches(DeviceFacts(id="0483:5740")) is True
    assert wanted.matches(DeviceFacts(id="0483:df11")) is None
    assert wanted.matches(DeviceFacts(id="0483:df11", serial="C", names=())) is False
    assert wanted.matches(DeviceFacts(id="0483:df11", serial="AB", names=())) is True
    assert str(wanted) == "id=0483:5740 or serial=A*|B id=0483:df11 not (name=x)"


@pytest.mark.parametrize(
    ("wanted", "busid"),
    [
        (MatchSelector((Match(busids=("1-1.4",)),)), "1-1.4"),
        (MatchSelector((Match(busids=("1-*",)),)), None),
        (MatchSelector((Match(busids=("1-1", "1-2")),)), None),
        (MatchSelector((Match(busids=("1-1",), ids=("0483:5740",)),)), None),
        (MatchSelector((Match(busids=("1-1",)), SERIAL_PORT)), None),
        (DeviceSelector.parse("1-1"), "1-1"),
        (DeviceSelector.parse("0483:5740"), None),
    ],
)
def test_a_bus_id_alone_is_asked_for_without_a_list(wanted: Wanted, busid: str | None) -> None:
    assert wanted.exact_busid == busid
