"""What the stub says where it cannot work; that it works is shown in tests/system."""

import asyncio
from dataclasses import replace

import pytest

from gadgetip.errors import PrerequisiteError
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import DeviceFaultError
from gadgetip.server.userspace import UserspaceStub
from gadgetip.usb import Speed

NOWHERE = LocalDevice("255-1", 255, 255, Speed.HIGH, 1, 2, 3, 0, 0, 0, 1, 1, driver="usb")


def test_available_with_libusb() -> None:
    assert UserspaceStub.why_unavailable() is None
    assert UserspaceStub.name == "userspace"


def test_a_device_that_usbip_host_has() -> None:
    with pytest.raises(DeviceFaultError, match="unbind it there first"):
        asyncio.run(UserspaceStub().take(replace(NOWHERE, driver="usbip-host")))


def test_a_device_without_a_node() -> None:
    with pytest.raises((PrerequisiteError, DeviceFaultError), match="/dev/bus/usb"):
        asyncio.run(UserspaceStub().take(NOWHERE))


def test_giving_back_what_is_not_there() -> None:
    stub = UserspaceStub()
    asyncio.run(stub.give_back(NOWHERE))
    stub.close()
