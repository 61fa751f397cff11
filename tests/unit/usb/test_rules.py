"""Every contradiction that is refused, by name, and the error that names it."""

import pytest

from gadgetip.errors import RemoteProtocolError
from gadgetip.usb import DescriptorError, parse_configuration

from .examples import BOT_HIGH_SPEED, KEYBOARD, WEBCAM


def configuration(*descriptors: str, interfaces: int = 1, total: int | None = None) -> bytes:
    """A configuration of these descriptors in hexadecimal, with a true wTotalLength."""
    rest = bytes.fromhex("".join(descriptors))
    length = (9 + len(rest) if total is None else total).to_bytes(2, "little")
    return b"\x09\x02" + length + bytes((interfaces, 1, 0, 0x80, 50)) + rest


def interface(number: int = 0, alternate: int = 0, endpoints: int = 0) -> str:
    return f"09 04 {number:02x} {alternate:02x} {endpoints:02x} ff 00 00 00"


def endpoint(address: int = 0x81, attributes: int = 2, packet: str = "0002") -> str:
    return f"07 05 {address:02x} {attributes:02x} {packet} 00"


MALFORMED = {
    "nothing": (b"", "configuration descriptor at byte 0: length 0"),
    "one byte": (b"\x09", "configuration descriptor at byte 0: length 1"),
    "half a header": (b"\x09\x02\x20\x00", "configuration descriptor at byte 0: bLength 9: there"),
    "a header of length 0": (b"\x00" + KEYBOARD[1:], "at byte 0: bLength 0: should be at least 9"),
    "another descriptor": (b"\x09\x04" + KEYBOARD[2:], "configuration .* bDescriptorType 0x04"),
    "too short": (configuration(interface(), total=30), "at byte 0: wTotalLength 30: there are 18"),
    "too long": (configuration(interface(), total=12), "at byte 0: wTotalLength 12: there are 18"),
    "a total below its header": (configuration(total=8), "wTotalLength 8: is shorter than"),
    "bytes behind it": (KEYBOARD + b"\x00", "wTotalLength 34: there are 35 bytes"),
    "bLength 0": (configuration(interface(), "00 24"), "at byte 18: bLength 0: a descriptor has"),
    "bLength 1": (configuration(interface(), "01"), "unknown .* at byte 18: bLength 1"),
    "a lone last byte": (configuration(interface(), "05"), "at byte 18: bLength 5: goes past"),
    "past the end": (
        configuration(interface(), "05 24 00 00"),
        "cs interface descriptor at byte 18: bLength 5: goes past the end",
    ),
    "a short interface": (configuration("08 04 00 00 00 ff 00 00"), "interface .* bLength 8"),
    "a short endpoint": (configuration(interface(0, 0, 1), "06 05 81 02 00 02"), "bLength 6"),
    "a short companion": (configuration(interface(), "05 30 00 00 00"), "companion .* bLength 5"),
    "a short association": (configuration("02 0b", interface()), "association .* bLength 2"),
    "an endpoint too early": (
        configuration(endpoint(), interface(0, 0, 1)),
        "endpoint descriptor at byte 9: bEndpointAddress 0x81: comes before the first interface",
    ),
    "endpoint 0": (
        configuration(interface(0, 0, 1), endpoint(0x80)),
        "endpoint descriptor at byte 18: bEndpointAddress 0x80: endpoint 0 is the control",
    ),
    "reserved address bits": (
        configuration(interface(0, 0, 1), endpoint(0x91)),
        "bEndpointAddress 0x91: bits 6..4",
    ),
    "wMaxPacketSize 0": (
        configuration(interface(0, 0, 1), endpoint(0x81, 2, "0000")),
        "endpoint descriptor at byte 18: wMaxPacketSize 0x00",
    ),
    "wMaxPacketSize 0 but for the multiplier": (
        configuration(interface(0, 0, 1), endpoint(0x81, 3, "0008")),
        "wMaxPacketSize 0x800",
    ),
    "an empty isochronous endpoint in setting 1": (
        configuration(interface(), interface(0, 1, 1), endpoint(0x81, 1, "0000")),
        "at byte 27: wMaxPacketSize",
    ),
    "an endpoint twice": (
        configuration(interface(0, 0, 2), endpoint(0x81), endpoint(0x81)),
        "at byte 25: bEndpointAddress 0x81: the setting has this endpoint twice",
    ),
    "an endpoint of two interfaces": (
        configuration(interface(0, 0, 1), endpoint(), interface(1, 0, 1), endpoint(), interfaces=2),
        "at byte 34: bEndpointAddress 0x81: interface 0 has this endpoint already",
    ),
    "a setting twice": (
        configuration(interface(3), interface(3)),
        "interface descriptor at byte 18: bAlternateSetting 0: interface 3 has this setting twice",
    ),
    "no setting 0": (
        configuration(interface(0), interface(1, 1), interface(1, 2), interfaces=2),
        "at byte 18: bAlternateSetting 1: interface 1 has no alternate setting 0",
    ),
    "fewer endpoints": (
        configuration(interface(0, 0, 2), endpoint(), interface(0, 1, 0)),
        "at byte 9: bNumEndpoints 2: the setting has 1 endpoint descriptor$",
    ),
    "more endpoints": (
        configuration(interface(), interface(0, 1, 0), endpoint()),
        "at byte 18: bNumEndpoints 0: the setting has 1 endpoint descriptor$",
    ),
    "fewer interfaces": (
        configuration(interface(), interfaces=2),
        "at byte 0: bNumInterfaces 2: the configuration has 1 interface$",
    ),
    "more interfaces": (
        configuration(interface(), interface(1), interfaces=1),
        "at byte 0: bNumInterfaces 1: the configuration has 2 interfaces$",
    ),
}


@pytest.mark.parametrize(("data", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_contradictions_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DescriptorError, match=message) as caught:
        parse_configuration(data)
    assert isinstance(caught.value, RemoteProtocolError)


def test_the_finding_is_data_too() -> None:
    with pytest.raises(DescriptorError) as caught:
        parse_configuration(configuration(interface(0, 0, 1), endpoint(0)))
    fault = caught.value.fault
    assert (fault.descriptor, fault.offset, fault.field, fault.value) == (
        "endpoint",
        18,
        "bEndpointAddress",
        0,
    )


TOLERATED = {
    "no interface at all": configuration(interfaces=0),
    "interface numbers with gaps": configuration(interface(0), interface(7), interfaces=2),
    "settings with gaps": configuration(interface(0, 0), interface(0, 9)),
    "setting 0 last": configuration(interface(0, 1), interface(0, 0)),
    "settings apart": configuration(interface(0), interface(1), interface(0, 1), interfaces=2),
    "an endpoint in two settings": configuration(
        interface(0, 0, 1), endpoint(), interface(0, 1, 1), endpoint()
    ),
    "an isochronous endpoint without bandwidth": configuration(
        interface(0, 0, 1), endpoint(0x81, 1, "0000")
    ),
    "an association of nothing": configuration("08 0b 09 00 00 00 00 00", interface()),
    "a device descriptor inside": configuration("02 01", interface()),
    "a configuration inside": configuration(interface(), BOT_HIGH_SPEED[:9].hex()),
}


@pytest.mark.parametrize("data", TOLERATED.values(), ids=TOLERATED.keys())
def test_what_misleads_nobody_is_let_through(data: bytes) -> None:
    parse_configuration(data)


def test_any_single_wrong_count_in_a_real_device_is_refused() -> None:
    tree = parse_configuration(WEBCAM)
    counts = [4] + [at + 4 for at, each in tree.descriptors() if each.bDescriptorType == 0x04]
    for place in counts:
        lying = bytearray(WEBCAM)
        lying[place] += 1
        with pytest.raises(DescriptorError, match="bNum"):
            parse_configuration(bytes(lying))
