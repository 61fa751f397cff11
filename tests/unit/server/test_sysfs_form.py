"""Local devices from recorded sysfs attributes."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadgetip.server.hardware_database import KnownNames, find_in_usb_ids, known_names
from gadgetip.server.inventory import find_local, read_inventory
from gadgetip.server.local_device import LocalInterface
from gadgetip.server.sysfs_form import (
    DEVICE_ATTRIBUTES,
    INTERFACE_ATTRIBUTES,
    SysfsDevice,
    SysfsInterface,
    interfaces_in,
    local_device,
)
from gadgetip.usb import DeviceTree, Speed, build_device_file
from tests.unit.gadget.devices import CAMERA, HS_STICK
from tests.unit.usb.strategies import devices

NAMES = KnownNames("SanDisk Corp.", "Ultra")
RECORDED = SysfsDevice(
    busid="1-1.4",
    path="/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4",
    attributes={
        "busnum": b"1",
        "devnum": b"12",
        "speed": b"480",
        "idVendor": b"0781",
        "idProduct": b"5581",
        "bcdDevice": b"0126",
        "bDeviceClass": b"00",
        "bDeviceSubClass": b"00",
        "bDeviceProtocol": b"00",
        "bConfigurationValue": b"1",
        "bNumConfigurations": b"1",
        "serial": b"4C53\xff0001",
        "manufacturer": None,
        "product": b"Ultra\n",
    },
    driver="usb",
    interfaces=(
        SysfsInterface(
            {
                "bInterfaceNumber": b"0a",
                "bInterfaceClass": b"08",
                "bInterfaceSubClass": b"06",
                "bInterfaceProtocol": b"50",
            },
            "usb-storage",
        ),
    ),
    descriptors=build_device_file(CAMERA),
)


def changed(**attributes: bytes | None) -> SysfsDevice:
    return replace(RECORDED, attributes={**RECORDED.attributes, **attributes})


def test_a_configured_device() -> None:
    device = local_device(RECORDED, NAMES)
    assert device is not None
    assert (device.busid, device.id, device.busnum, device.devnum) == ("1-1.4", "0781:5581", 1, 12)
    assert (device.speed, device.bcdDevice, device.driver) == (Speed.HIGH, 0x0126, "usb")
    assert (device.serial, device.manufacturer, device.product) == ("4C53\ufffd0001", None, "Ultra")
    assert (device.vendor_name, device.product_name) == NAMES
    assert device.interfaces == (LocalInterface(10, 0x08, 0x06, 0x50, "usb-storage"),)
    assert device.stub_status is None


def test_a_device_that_the_stub_has() -> None:
    stubbed = replace(
        changed(bConfigurationValue=b"", usbip_status=b"2\n"), driver="usbip-host", interfaces=()
    )
    device = local_device(replace(stubbed, descriptors=build_device_file(HS_STICK)), NAMES)
    assert device is not None
    assert (device.bConfigurationValue, device.stub_status) == (0, 2)
    assert device.interfaces == (LocalInterface(0, 0x08, 0x06, 0x50),)


def test_what_went_while_it_was_read() -> None:
    for name in ("busnum", "devnum", "idVendor", "idProduct", "bDeviceClass", "bcdDevice"):
        assert local_device(changed(**{name: None}), NAMES) is None
    gone = SysfsInterface(dict.fromkeys(INTERFACE_ATTRIBUTES))
    device = local_device(replace(RECORDED, interfaces=(gone, *RECORDED.interfaces)), NAMES)
    assert device is not None
    assert [i.bInterfaceNumber for i in device.interfaces] == [10]


def test_speeds() -> None:
    for text, speed in ((b"1.5", Speed.LOW), (b"20000", Speed.SUPER_PLUS), (None, Speed.UNKNOWN)):
        device = local_device(changed(speed=text), NAMES)
        assert device is not None
        assert device.speed is speed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(devices())
def test_interfaces_of_descriptors(tree: DeviceTree) -> None:
    found = interfaces_in(build_device_file(tree))
    wanted = {
        setting.interface: setting.descriptor.class_triple
        for configuration in tree.configurations[:1]
        for setting in configuration.settings
        if setting.alternate == 0
    }
    assert {
        i.bInterfaceNumber: (i.bInterfaceClass, i.bInterfaceSubClass, i.bInterfaceProtocol)
        for i in found
    } == wanted


@given(st.binary(max_size=200), st.integers(0, 200))
def test_odd_descriptors_are_no_error(noise: bytes, cut: int) -> None:
    interfaces_in(noise)
    whole = build_device_file(CAMERA)
    interfaces_in(whole[:cut] + noise)


@given(st.dictionaries(st.sampled_from(DEVICE_ATTRIBUTES), st.binary(max_size=8) | st.none()))
def test_odd_attributes_are_no_error(attributes: dict[str, bytes | None]) -> None:
    local_device(changed(**attributes), NAMES)


# --- the hardware database ------------------------------------------------------------------

USB_IDS = b"""# comment
0001  Fry's Electronics
\t7778  Counterfeit flash drive [Kingston]
0781  SanDisk Corp.
\t0001  SDDR-05a
\t\t01  an interface
# a comment between
\t5581  Ultra\xff
0782  Hitachi, Ltd

C 08  Mass Storage
\t5582  no product
"""


def test_usb_ids() -> None:
    assert find_in_usb_ids(USB_IDS, 0x0781, 0x5581) == ("SanDisk Corp.", "Ultra\ufffd")
    assert find_in_usb_ids(USB_IDS, 0x0001, 0x7778).product == "Counterfeit flash drive [Kingston]"
    assert find_in_usb_ids(USB_IDS, 0x0781, 0x9999) == ("SanDisk Corp.", None)
    assert find_in_usb_ids(USB_IDS, 0x0782, 0x5582) == ("Hitachi, Ltd", None)
    assert find_in_usb_ids(USB_IDS, 0xDEAD, 0x0001) == (None, None)
    assert find_in_usb_ids(b"", 0x0781, 0x5581) == (None, None)


@given(st.binary(), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_odd_usb_ids(text: bytes, vendor: int, product: int) -> None:
    find_in_usb_ids(text, vendor, product)


def test_this_machines_database() -> None:
    names = known_names(0x1D6B, 0x0002)
    assert names in {("Linux Foundation", "2.0 root hub"), (None, None)}
    assert known_names(0xFFFF, 0xFFFF).product is None


# --- this machine's own devices, whichever there are ----------------------------------------


def test_the_inventory_of_this_machine() -> None:
    devices = read_inventory()
    assert len({device.busid for device in devices}) == len(devices)
    for busid in ("", "..", "../../block/sda", "usb", "1-1/..", "1-1\n", "1" * 400, "1-1.1:1.0"):
        assert find_local(busid) is None
