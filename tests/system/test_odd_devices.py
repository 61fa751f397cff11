"""Devices that no function of the kernel makes, through the board's and the host's real kernels.

The device is emulated behind a USB/IP server (`tests.emulated`); what it was asked for, and what
it believes, can be looked up there.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from gadgetip.usb import SetupPacket, parse_device_file
from tests.emulated.devices import make_device
from tests.emulated.server import EmulatedServer
from tests.system import host, usbfs
from tests.system.attachment import Attachment, leftovers
from tests.system.waiting import wait_for

UDC = "dummy_udc.1"
DEVICE_BYTES = 18


@pytest.mark.parametrize(
    "name",
    ["webcam", "headset", "xbox-pad", "interface-gaps", "not-bcd", "bluetooth"],
)
def test_descriptors_are_the_devices_own(name: str) -> None:
    """Every byte of the configuration; GadgetFS carries up to 4096 of them."""
    device = make_device(name)
    with (
        EmulatedServer(device) as server,
        Attachment(server.host, device.busid, udc=UDC, options=("--backend", "gadgetfs")) as it,
    ):
        shown = host.descriptors(host.wait_for_device(UDC))
        own = bytearray(device.configurations[0])
        if any(d["subject"] == "remote wakeup" for d in it.bound["deviations"]):
            own[7] &= ~0x20
        assert shown[DEVICE_BYTES:] == bytes(own)
        assert shown[8:14] == device.descriptor[8:14]  # ids and bcdDevice
        assert server.journal.violations == []
    assert leftovers(UDC) == []


def test_alternate_settings_reach_the_device() -> None:
    device = make_device("four-settings-one-address")
    with (
        EmulatedServer(device) as server,
        Attachment(server.host, device.busid, udc=UDC) as it,
    ):
        assert it.bound["backend"] == "gadgetfs"
        with usbfs.Driver(host.wait_for_device(UDC), 0) as driver:
            for alternate, size in ((1, 64), (3, 1024), (2, 512), (0, 16)):
                driver.set_interface(0, alternate)
                assert server.call(lambda: device.alternates.get(0, 0)) == alternate
                assert driver.read(0x81, size) == bytes([alternate]) * size
        assert server.journal.violations == []


PROFILE = """\
schema = "profile/1"
name = "frozen"
[match]
id = "1209:000c"
[[interface]]
number = 0
alternate_setting = 5
class = "ff/42/01"
"""


@pytest.mark.parametrize("backend", ["functionfs", "gadgetfs"])
def test_the_host_sees_the_setting_and_the_class_of_the_profile(
    backend: str, tmp_path: Path
) -> None:
    profile = tmp_path / "frozen.toml"
    profile.write_text(PROFILE)
    device = make_device("alternate-setting-five")
    options = ("--backend", backend, "--profile", str(profile))
    with (
        EmulatedServer(device) as server,
        Attachment(server.host, device.busid, udc=UDC, options=options) as it,
    ):
        assert it.bound["profile"] == "frozen"
        replica = host.wait_for_device(UDC)
        (seen,) = parse_device_file(host.descriptors(replica)).configurations[0].settings
        assert seen.descriptor.class_triple == (0xFF, 0x42, 0x01)
        assert (seen.alternate, len(seen.endpoints)) == (0, 2)
        into = next(e.address for e in seen.endpoints if e.address & 0x80)
        out = next(e.address for e in seen.endpoints if not e.address & 0x80)
        with usbfs.Driver(replica, 0) as driver:
            driver.write(out, b"through setting 5")
            assert driver.read(into, 512) == b"through setting 5"
        assert server.call(lambda: device.alternates.get(0, 0)) == 5
        assert server.journal.violations == []
    assert leftovers(UDC) == []


def test_a_reset_resets_the_device_and_the_first_enumeration_does_not() -> None:
    device = make_device("bulk-echo")
    with EmulatedServer(device) as server, Attachment(server.host, device.busid, udc=UDC):
        replica = host.wait_for_device(UDC)
        assert server.call(lambda: device.resets) == 0
        usbfs.reset(replica)
        wait_for(lambda: server.call(lambda: device.resets) == 1, "a reset of the device")
        with usbfs.Driver(host.wait_for_device(UDC), 0) as driver:
            driver.write(0x01, b"after the reset")
            assert driver.read(0x81, 512) == b"after the reset"
        (host.wait_for_device(UDC) / "bConfigurationValue").write_text("-1")
        wait_for(lambda: server.call(lambda: device.configuration) == 0, "no configuration")


@pytest.mark.parametrize("backend", ["functionfs", "gadgetfs"])
def test_microsofts_descriptors(backend: str) -> None:
    device = make_device("winusb")
    with (
        EmulatedServer(device) as server,
        Attachment(server.host, device.busid, udc=UDC, options=("--backend", backend)),
        usbfs.Driver(host.wait_for_device(UDC)) as driver,
    ):
        own = driver.control_in(0x80, 6, 0x03EE, 0, 18)
        assert own[2:16] == "MSFT100".encode("utf-16-le")
        compatible = driver.control_in(0xC0, own[16], 0, 4, 40)
        assert b"WINUSB" in compatible
        assert server.journal.violations == []


@pytest.mark.parametrize("backend", ["functionfs", "gadgetfs"])
def test_a_request_that_is_never_answered_ends_in_a_stall(backend: str) -> None:
    device = make_device("never-answers-vendor")
    with (
        EmulatedServer(device) as server,
        Attachment(server.host, device.busid, udc=UDC, options=("--backend", backend)),
        usbfs.Driver(host.wait_for_device(UDC), 0) as driver,
    ):
        with pytest.raises(usbfs.TransferError):
            driver.control_in(0xC0, 1, 0, 0, 8)
        # ... and the next one is served.
        assert driver.control_in(0x80, 0, 0, 0, 2)
        asked = replace(SetupPacket.get_descriptor(1), wLength=8)
        assert driver.control_in(0x80, asked.bRequest, asked.wValue, 0, 8)
        assert server.journal.violations == []
