import pytest

from gadgetip.errors import GadgetipError, RemoteProtocolError
from gadgetip.usb import Speed


def test_speeds_are_ordered() -> None:
    assert sorted(Speed) == list(Speed)
    assert Speed.UNKNOWN < Speed.LOW < Speed.FULL < Speed.HIGH < Speed.SUPER < Speed.SUPER_PLUS


@pytest.mark.parametrize("speed", Speed)
def test_both_names_lead_back(speed: Speed) -> None:
    assert Speed.from_wire(int(speed)) is speed
    assert Speed.from_kernel_name(speed.kernel_name) is speed
    assert Speed.from_kernel_name(speed.kernel_name + "\n") is speed


@pytest.mark.parametrize("number", [-1, 7, 0xFFFFFFFF])
def test_unknown_numbers_are_refused(number: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"speed {number}:"):
        Speed.from_wire(number)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(GadgetipError, match=r"'warp-speed' is no speed; .*high-speed"):
        Speed.from_kernel_name("warp-speed")


def test_rates() -> None:
    assert Speed.HIGH.mbps_text == "480 Mbit/s"
    assert Speed.LOW.mbps_text == "1.5 Mbit/s"
    assert Speed.UNKNOWN.mbps_text == "unknown speed"


@pytest.mark.parametrize(
    ("rate", "speed"),
    [
        ("1.5\n", Speed.LOW),
        ("12", Speed.FULL),
        ("480", Speed.HIGH),
        ("5000", Speed.SUPER),
        ("10000", Speed.SUPER_PLUS),
        ("20000", Speed.SUPER_PLUS),
        ("unknown", Speed.UNKNOWN),
        ("13", Speed.UNKNOWN),
        ("", Speed.UNKNOWN),
    ],
)
def test_what_sysfs_says_of_a_device(rate: str, speed: Speed) -> None:
    assert Speed.from_sysfs(rate) is speed
