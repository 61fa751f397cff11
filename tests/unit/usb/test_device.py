import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import LocalProtocolError
from gadgetip.usb import (
    DescriptorError,
    DeviceDescriptor,
    DeviceTree,
    Speed,
    StringTable,
    build_device_file,
    parse_configuration,
    parse_device_file,
)

from .examples import BOT_DEVICE, BOT_HIGH_SPEED, KEYBOARD, WEBCAM
from .strategies import devices, unhurried, wire

TWO = DeviceDescriptor.unpack(BOT_DEVICE).replace(bNumConfigurations=2).data


@unhurried
@given(devices())
def test_every_byte_survives(tree: DeviceTree) -> None:
    data = tree.device.data + b"".join(wire(each) for each in tree.configurations)
    assert parse_device_file(data) == tree
    assert build_device_file(tree) == data


def test_a_stick() -> None:
    tree = parse_device_file(BOT_DEVICE + BOT_HIGH_SPEED)
    assert tree.device.idVendor == 0x0781
    assert tree.configuration(1) == parse_configuration(BOT_HIGH_SPEED)
    assert tree.speed is Speed.UNKNOWN
    assert tree.strings == StringTable()


def test_what_the_file_lacks_is_given_beside_it() -> None:
    strings = StringTable((0x0409,), {(1, 0x0409): "SanDisk"})
    tree = parse_device_file(
        BOT_DEVICE + BOT_HIGH_SPEED, strings=strings, speed=Speed.HIGH, bos=b"\x05\x0f\x05\x00\x00"
    )
    assert tree.strings.get(1) == "SanDisk"
    assert (tree.speed, tree.bos) == (Speed.HIGH, b"\x05\x0f\x05\x00\x00")


def test_trees_are_values_that_cross_process_boundaries() -> None:
    tree = parse_device_file(
        BOT_DEVICE + BOT_HIGH_SPEED, strings=StringTable((0x0409,), {(1, 0x0409): "x"})
    )
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert hash(tree) == hash(pickle.loads(pickle.dumps(tree)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "device descriptor at byte 0: length 0"),
        (BOT_DEVICE[:17], "device .* bLength 18: there are 17"),
        (b"\x14" + BOT_DEVICE[1:], "device .* bLength 20: there are 18"),
        (BOT_HIGH_SPEED, "device .* bDescriptorType 0x02"),
        (BOT_DEVICE, "bNumConfigurations 1: the device has 0"),
        (TWO + KEYBOARD, "bNumConfigurations 2: the device has 1"),
        (BOT_DEVICE + KEYBOARD + WEBCAM, "bNumConfigurations 1: the data goes on .* at byte 52"),
        (BOT_DEVICE + KEYBOARD + b"\0", "bNumConfigurations 1: the data goes on"),
        (TWO + KEYBOARD + b"\x09", "configuration descriptor at byte 52: length 1"),
        (TWO + KEYBOARD + KEYBOARD[:20], "at byte 52: wTotalLength 34: there are 20"),
        (TWO + KEYBOARD[:20] + KEYBOARD, "at byte 45: bLength 160: goes past"),
        (BOT_DEVICE + KEYBOARD[:29] + b"\0" + KEYBOARD[30:], "at byte 45: bEndpointAddress 0x00"),
    ],
)
def test_files_that_lie_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        parse_device_file(data)


@given(st.binary(max_size=60), st.integers(0, 3))
def test_random_files_do_no_harm(rest: bytes, count: int) -> None:
    device = DeviceDescriptor.unpack(BOT_DEVICE).replace(bNumConfigurations=count)
    for data in (rest, device.data + rest, device.data + KEYBOARD + rest):
        try:
            tree = parse_device_file(data)
        except DescriptorError:
            continue
        assert build_device_file(tree) == data


def test_a_wrong_count_is_not_built() -> None:
    tree = parse_device_file(BOT_DEVICE + BOT_HIGH_SPEED)
    with pytest.raises(LocalProtocolError, match="bNumConfigurations is 1, the tree has 2"):
        build_device_file(replace(tree, configurations=tree.configurations * 2))


def test_asking_for_another_configuration_is_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="no configuration 2"):
        parse_device_file(BOT_DEVICE + BOT_HIGH_SPEED).configuration(2)
