from copy import deepcopy
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import LocalProtocolError
from gadgetip.usb import (
    ConfigurationDescriptor,
    Descriptor,
    DescriptorError,
    DeviceDescriptor,
    Direction,
    EndpointCompanionDescriptor,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    Speed,
    TransferType,
    descriptor_name,
)

from .examples import BOT_DEVICE, BOT_HIGH_SPEED, KEYBOARD

TYPED: list[type[Descriptor]] = [
    DeviceDescriptor,
    ConfigurationDescriptor,
    InterfaceDescriptor,
    EndpointDescriptor,
    EndpointCompanionDescriptor,
    InterfaceAssociationDescriptor,
]


def test_device_fields() -> None:
    device = DeviceDescriptor.unpack(BOT_DEVICE)
    assert (device.bLength, device.bDescriptorType) == (18, 1)
    assert (device.bcdUSB, device.bcdDevice) == (0x0200, 0x0100)
    assert (device.idVendor, device.idProduct) == (0x0781, 0x5581)
    assert (device.iManufacturer, device.iProduct, device.iSerialNumber) == (1, 2, 3)
    assert device.bNumConfigurations == 1
    assert device.max_packet0 == 64
    assert device.replace(bcdUSB=0x0320, bMaxPacketSize0=9).max_packet0 == 512


def test_configuration_fields() -> None:
    header = ConfigurationDescriptor.unpack(KEYBOARD[:9])
    assert header.remote_wakeup
    assert not header.self_powered
    assert header.max_power_ma(Speed.FULL) == 100
    assert header.max_power_ma(Speed.SUPER) == 400


def test_endpoint_fields() -> None:
    endpoint = EndpointDescriptor.unpack(bytes.fromhex("07058305001404"))
    assert (endpoint.number, endpoint.direction) == (3, Direction.IN)
    assert endpoint.transfer_type is TransferType.ISOCHRONOUS
    assert (endpoint.max_packet, endpoint.transactions_per_microframe) == (1024, 3)
    assert endpoint.bInterval == 4


def test_the_attributes_of_an_endpoint_have_more_than_the_type() -> None:
    # Synchronisation and usage of isochronous endpoints are in the higher bits.
    endpoint = EndpointDescriptor.new(bEndpointAddress=2, bmAttributes=0x3D)
    assert endpoint.transfer_type is TransferType.ISOCHRONOUS
    assert endpoint.direction is Direction.OUT


@pytest.mark.parametrize("cls", TYPED)
def test_fields_fill_the_standard_size_without_overlap(cls: type[Descriptor]) -> None:
    taken = [0, 1]
    for field in cls.FIELDS.values():
        taken += range(field.offset, field.offset + field.size)
    assert taken == list(range(cls.SIZE))


@given(st.sampled_from(TYPED), st.data())
def test_replace_changes_the_field_and_nothing_else(
    cls: type[Descriptor], data: st.DataObject
) -> None:
    body = data.draw(st.binary(min_size=cls.SIZE - 2, max_size=cls.SIZE + 8))
    assert cls.TYPE is not None
    original = cls.unpack(bytes((2 + len(body), cls.TYPE)) + body)
    name = data.draw(st.sampled_from(list(cls.FIELDS)))
    field = cls.FIELDS[name]
    value = data.draw(st.integers(0, (1 << 8 * field.size) - 1))
    changed = original.replace(**{name: value})
    assert getattr(changed, name) == value
    end = field.offset + field.size
    assert changed.data[: field.offset] == original.data[: field.offset]
    assert changed.data[end:] == original.data[end:]
    assert type(changed) is cls
    assert changed.replace(**{name: getattr(original, name)}) == original


def test_replace_refuses_what_does_not_fit() -> None:
    endpoint = EndpointDescriptor.new()
    with pytest.raises(LocalProtocolError, match="bInterval 256 does not fit 1 byte"):
        endpoint.replace(bInterval=256)
    with pytest.raises(LocalProtocolError, match="wMaxPacketSize -1"):
        endpoint.replace(wMaxPacketSize=-1)
    with pytest.raises(LocalProtocolError, match="has no field 'bLength'"):
        endpoint.replace(bLength=9)
    with pytest.raises(LocalProtocolError, match="has no field 'iSerial'"):
        endpoint.replace(iSerial=1)


def test_new_makes_the_standard_size() -> None:
    made = InterfaceDescriptor.new(bNumEndpoints=2, bInterfaceClass=8, bInterfaceSubClass=6)
    assert made.replace(bInterfaceProtocol=0x50).data == BOT_HIGH_SPEED[9:18]
    with pytest.raises(LocalProtocolError, match="no type"):
        Descriptor.new()


@pytest.mark.parametrize(
    ("cls", "data", "message"),
    [
        (DeviceDescriptor, "", "device descriptor at byte 5: length 0"),
        (DeviceDescriptor, "12", "device .* length 1"),
        (DeviceDescriptor, "0902", "device .* bDescriptorType 0x02: should be 0x01"),
        (EndpointDescriptor, "0605810200 02", "endpoint .* bLength 6: should be at least 7"),
        (EndpointDescriptor, "09058102000200", "endpoint .* bLength 9: there are 7 bytes"),
        (EndpointDescriptor, "0705810200020000", "endpoint .* bLength 7: there are 8 bytes"),
        (Descriptor, "0324", "cs interface .* bLength 3: there are 2 bytes"),
        (Descriptor, "0041", r"unknown \(0x41\) .* bLength 0"),
    ],
)
def test_unpack_refuses(cls: type[Descriptor], data: str, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        cls.unpack(bytes.fromhex(data), at=5)


def test_our_own_malformed_descriptors_are_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="bLength 3"):
        Descriptor(b"\x03\x24")


def test_descriptors_are_immutable_values() -> None:
    endpoint = EndpointDescriptor.new(bEndpointAddress=0x81)
    anything: Any = endpoint  # mypy would refuse the assignment, too
    with pytest.raises(FrozenInstanceError):
        anything.data = b""
    assert not hasattr(endpoint, "__dict__")
    assert endpoint == EndpointDescriptor(endpoint.data)
    assert endpoint == deepcopy(endpoint)
    assert endpoint != Descriptor(endpoint.data)
    assert len({endpoint, EndpointDescriptor(endpoint.data)}) == 1


def test_descriptors_read_well_in_a_debugger() -> None:
    assert repr(Descriptor(b"\x03\x24\x01")) == "Descriptor(032401)"
    companion = EndpointCompanionDescriptor(b"\x07\x30\x0f\x00\x00\x00\xaa")
    assert repr(companion) == (
        "EndpointCompanionDescriptor(bMaxBurst=15, bmAttributes=0, wBytesPerInterval=0, rest=aa)"
    )
    assert companion.name == "endpoint companion"
    assert descriptor_name(0x41) == "unknown (0x41)"
