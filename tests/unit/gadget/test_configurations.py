"""Devices with several configurations, with none, and with such as nobody can choose."""

import pytest

from gadgetip.errors import RefusedError
from gadgetip.gadget import Severity
from gadgetip.usb import Speed

from .devices import configuration, device, emulated, endpoint, interface
from .planning import STOCK, functionfs, only, plan, texts

DEGRADED, REFUSED = Severity.DEGRADED, Severity.REFUSED


def test_nothing_to_rebuild() -> None:
    with pytest.raises(RefusedError, match="the device has no configuration"):
        plan(device())


def test_a_configuration_without_interfaces_is_refused() -> None:
    tree = device(configuration(interfaces=0))
    assert texts(plan(tree), REFUSED) == [
        "configuration: nothing of configuration 1 is left to rebuild"
    ]


def valued(value: int, *parts: bytes, attributes: int = 0x80) -> bytes:
    own = bytearray(configuration(*parts, attributes=attributes))
    own[5] = value
    return bytes(own)


def test_a_configuration_that_nobody_can_choose_is_refused() -> None:
    assert texts(plan(device(valued(0, interface(0, 0)))), REFUSED) == [
        "configuration: its bConfigurationValue is 0, by which nobody can choose it"
    ]


def test_functionfs_offers_all_configurations() -> None:
    tree = emulated("two-configurations")
    made = plan(tree)
    assert (made.backend, made.deviations) == ("functionfs", ())
    assert [each.value for each in made.configurations] == [1, 2]
    assert [each.bmAttributes for each in made.configurations] == [0x80, 0xA0]
    second = made.configuration(2)
    assert second is not None
    assert [route.address for route in second.routes[Speed.HIGH]] == [0x82]
    assert made.configuration(3) is None


def test_gadgetfs_offers_the_mildest_of_several() -> None:
    tree = device(
        valued(1, interface(0, 1), endpoint(0x81, 1, 192, 1)),
        valued(2, interface(0, 1), endpoint(0x81)),
        valued(3, interface(0, 1), endpoint(0x81), attributes=0xA0),
    )
    made = plan(tree, backends=STOCK[1:])
    assert only(made).value == 2
    assert made.device_descriptor[17] == 1
    assert "configurations: number 2 of 3 is offered: gadgetfs has one" in texts(made, DEGRADED)


def test_two_configurations_of_one_value_are_not_both_offered() -> None:
    tree = device(valued(4, interface(0, 0)), valued(4, interface(0, 0)))
    assert texts(functionfs(tree), REFUSED) == ["configuration: 2 have the value 4"]
    assert plan(tree).backend == "gadgetfs"
