"""Devices whose descriptors lie, contradict each other, never end or never come.

Three tables, each by name: `MALFORMED` must be refused while they are read, with words that the
last column finds; `SLOW` must be given up in time; `READABLE` are well-formed, and harmful by
their size or oddity: the last column has the exit statuses with which an attachment may end, or
None where it may also work.
"""

from gadgetip.usb import DescriptorType, Speed
from tests.emulated.descriptors import (
    BULK,
    association,
    configuration,
    device,
    endpoint,
    interface,
    le16,
    specific,
)
from tests.emulated.device import STALL, EmulatedDevice
from tests.emulated.devices.vendor import VENDOR, bulk_pair
from tests.emulated.hostile.lies import (
    CONFIGURATION,
    DEVICE,
    LARGEST,
    NEVER,
    STRINGS,
    Make,
    filled,
    late,
    lying,
    many_settings,
    patched,
    saying,
    string_of,
)

# Offsets in CONFIGURATION: 0 the header, 9 the interface, 18 endpoint 0x01, 25 endpoint 0x81.
_INTERFACE, _OUT, _IN = 9, 18, 25
_CONFIGURATION, _STRING, _BOS = (
    DescriptorType.CONFIGURATION,
    DescriptorType.STRING,
    DescriptorType.BOS,
)
_WITH_BOS = device(0x1209, 0x6666, bcd_usb=0x0210)
_EVERY_NAME = bytes([0, 9, 4, 7]) + b"\x07\x04" * 124

MALFORMED: dict[str, tuple[str, Make, str]] = {
    "total-length-without-data": (
        "wTotalLength 65535, and 32 bytes.",
        saying(patched(CONFIGURATION, {2: 0xFF, 3: 0xFF})),
        "wTotalLength 65535: there are 32 bytes",
    ),
    "total-length-too-short": (
        "wTotalLength 8.",
        saying(patched(CONFIGURATION, {2: 8})),
        "wTotalLength 8: is shorter",
    ),
    "total-length-changes": (
        "wTotalLength grows between the two times it is asked for.",
        lying({(_CONFIGURATION, 0): [CONFIGURATION, patched(CONFIGURATION, {2: 64})]}),
        "wTotalLength 64: there are 32 bytes",
    ),
    "interface-count": (
        "bNumInterfaces 4 with one interface.",
        saying(patched(CONFIGURATION, {4: 4})),
        "bNumInterfaces 4",
    ),
    "interface-missing": (
        "bNumInterfaces 1 without any interface.",
        saying(patched(configuration(), {4: 1})),
        "bNumInterfaces 1",
    ),
    "endpoint-count": (
        "bNumEndpoints 255 with two endpoints.",
        saying(patched(CONFIGURATION, {_INTERFACE + 4: 255})),
        "bNumEndpoints 255",
    ),
    "endpoint-count-zero": (
        "bNumEndpoints 0 with two endpoints.",
        saying(patched(CONFIGURATION, {_INTERFACE + 4: 0})),
        "bNumEndpoints 0",
    ),
    "length-zero": (
        "bLength 0, on which a careless walk never ends.",
        saying(patched(CONFIGURATION, {_OUT: 0})),
        "bLength 0",
    ),
    "length-one": ("bLength 1.", saying(patched(CONFIGURATION, {_OUT: 1})), "bLength 1"),
    "length-past-end": (
        "A last descriptor that is longer than the configuration.",
        saying(patched(CONFIGURATION, {_IN: 200})),
        "bLength 200",
    ),
    "endpoint-too-short": (
        "An endpoint descriptor of 4 bytes.",
        saying(configuration(patched(interface(0, VENDOR), {4: 1}) + b"\x04\x05\x81\x02")),
        "bLength 4",
    ),
    "endpoint-zero": (
        "A descriptor for endpoint 0.",
        saying(patched(CONFIGURATION, {_IN + 2: 0x80})),
        "endpoint 0",
    ),
    "endpoint-reserved-bits": (
        "bEndpointAddress 0xF1.",
        saying(patched(CONFIGURATION, {_IN + 2: 0xF1})),
        "bEndpointAddress 0xf1",
    ),
    "packet-size-zero": (
        "wMaxPacketSize 0, which a careless division does not survive.",
        saying(patched(CONFIGURATION, {_OUT + 5: 0})),
        "wMaxPacketSize 0x00",
    ),
    "endpoint-twice": (
        "One address twice in a setting.",
        saying(
            configuration(
                interface(0, VENDOR, endpoint(0x81, BULK, 512), endpoint(0x81, BULK, 512))
            )
        ),
        "bEndpointAddress 0x81",
    ),
    "endpoint-of-two-interfaces": (
        "One address in two interfaces.",
        saying(configuration(bulk_pair(0), bulk_pair(1))),
        "interface 0 has this endpoint",
    ),
    "endpoint-before-interface": (
        "An endpoint before the first interface.",
        saying(configuration(endpoint(0x81, BULK, 512), bulk_pair())),
        "before the first interface",
    ),
    "endpoints-64k": (
        "9,000 endpoint descriptors.",
        saying(filled(endpoint(0x82, BULK, 512))),
        "bEndpointAddress 0x82",
    ),
    "setting-twice": (
        "One alternate setting twice.",
        saying(configuration(interface(0, VENDOR), interface(0, VENDOR))),
        "bAlternateSetting 0",
    ),
    "no-setting-zero": (
        "An interface without alternate setting 0.",
        saying(configuration(bulk_pair(alternate=3))),
        "bAlternateSetting 3",
    ),
    "no-configurations": (
        "bNumConfigurations 0.",
        saying(descriptor=DEVICE[:-1] + b"\0"),
        "bNumConfigurations 0",
    ),
    "configurations-255": (
        "255 configurations.",
        saying(
            *(configuration(bulk_pair(), value=each) for each in range(1, 256)),
            descriptor=DEVICE[:-1] + b"\xff",
        ),
        "bNumConfigurations 255",
    ),
    "configurations-255-of-64k": (
        "255 configurations of 64 KiB: 16 MiB of descriptors.",
        lying(
            {(_CONFIGURATION, None): filled(specific(0x41, bytes(253)))},
            descriptor=DEVICE[:-1] + b"\xff",
        ),
        "bNumConfigurations 255",
    ),
    "device-descriptor-short": (
        "A device descriptor of 8 bytes.",
        saying(descriptor=DEVICE[:8]),
        "device descriptor .*bLength 18",
    ),
    "device-descriptor-empty": (
        "A device descriptor of no bytes.",
        saying(descriptor=b""),
        "device descriptor .*length 0",
    ),
    "device-descriptor-of-another-type": (
        "A device descriptor that says it is a configuration.",
        saying(descriptor=patched(DEVICE, {1: 2})),
        "bDescriptorType 0x02",
    ),
    "device-descriptor-length-zero": (
        "A device descriptor with bLength 0.",
        saying(descriptor=patched(DEVICE, {0: 0})),
        "bLength 0",
    ),
    "configuration-empty": (
        "A configuration of no bytes.",
        saying(b""),
        "configuration descriptor .*length 0",
    ),
    "configuration-header-short": (
        "A configuration of 4 bytes.",
        saying(CONFIGURATION[:4]),
        "bLength 9",
    ),
    "configuration-refused": (
        "The configuration is stalled.",
        lying({(_CONFIGURATION, None): STALL}),
        "CONFIGURATION 0 .*EPIPE",
    ),
    "second-configuration-refused": (
        "bNumConfigurations 2, and one.",
        saying(descriptor=DEVICE[:-1] + b"\x02"),
        "CONFIGURATION 1 .*EPIPE",
    ),
}

SLOW: dict[str, tuple[str, Make, str]] = {
    "answers-nothing": (
        "Every GET_DESCRIPTOR waits for ever.",
        lying({(kind, None): NEVER for kind in range(256)}),
        "did not answer within",
    ),
    "configuration-never-comes": (
        "GET_DESCRIPTOR of the configuration waits for ever.",
        lying({(_CONFIGURATION, None): NEVER}),
        "did not answer within",
    ),
    "always-late": (
        "Every descriptor comes just before anybody would give up.",
        late(configurations=8),
        "did not give all its descriptors within",
    ),
}

READABLE: dict[str, tuple[str, Make, set[int] | None]] = {
    "total-length-with-data": (
        "A configuration of 65535 bytes.",
        saying(filled(specific(0x41, bytes(253)))),
        {5},
    ),
    "descriptors-of-2-bytes": (
        "A configuration of 65535 bytes, 32,000 descriptors.",
        saying(filled(b"\x02\x41")),
        {5},
    ),
    "associations-64k": (
        "A configuration of 65535 bytes, 8,000 interface associations of 255 interfaces.",
        saying(filled(association(0, 255, VENDOR))),
        {5},
    ),
    "settings-64k": ("7,168 alternate settings.", saying(many_settings(28, 256)), None),
    "names-64k": (
        "255 names in two languages that all differ.",
        lying(
            {
                (_CONFIGURATION, 0): many_settings(28, 256, names=True),
                (_STRING, 0): b"\x06\x03\x09\x04\x07\x04",
                (_STRING, None): string_of(4, 3, 0x41, 0),
            }
        ),
        None,
    ),
    "no-interfaces": ("A configuration without interfaces.", saying(configuration()), None),
    "configuration-value-zero": (
        "bConfigurationValue 0.",
        saying(configuration(bulk_pair(), value=0)),
        None,
    ),
    "configuration-values-equal": (
        "Two configurations of the same value.",
        saying(CONFIGURATION, CONFIGURATION, descriptor=DEVICE[:-1] + b"\x02"),
        None,
    ),
    "packet-size-2047": (
        "wMaxPacketSize 0x1FFF in a bulk endpoint.",
        saying(patched(CONFIGURATION, {_OUT + 4: 0xFF, _OUT + 5: 0x1F})),
        None,
    ),
    "packet-size-0-odd": (
        "bMaxPacketSize0 0.",
        saying(descriptor=patched(DEVICE, {7: 0})),
        None,
    ),
    "string-index-255": (
        "Names with an index behind which there is nothing.",
        saying(descriptor=patched(DEVICE, {14: 255, 15: 254, 16: 253})),
        None,
    ),
    "string-length-lies": (
        "String descriptors with bLength 255 and 4 bytes.",
        lying({(_STRING, 2): string_of(255, 3, 0x41, 0)}),
        None,
    ),
    "string-length-zero": (
        "String descriptors with bLength 0.",
        lying({(_STRING, 1): string_of(0, 3), (_STRING, 2): string_of(0, 0)}),
        None,
    ),
    "string-length-odd": (
        "String descriptors of odd length.",
        lying({(_STRING, 1): string_of(5, 3, 0x41, 0, 0x42), (_STRING, 2): string_of(3, 3, 0)}),
        None,
    ),
    "string-of-another-type": (
        "Strings that are device descriptors.",
        lying({(_STRING, None): DEVICE}),
        None,
    ),
    "string-zero-everywhere": (
        "Every string is the list of languages.",
        lying({(_STRING, None): b"\x04\x03\x09\x04"}),
        None,
    ),
    "languages-126": (
        "126 languages.",
        lying({(_STRING, 0): b"\xfe\x03" + _EVERY_NAME}),
        None,
    ),
    "string-escapes": (
        "Names that clear the screen and write from right to left.",
        saying(strings={1: "\x1b[2J\x1b]0;owned\x07", 2: "\u202etxt.exe\n\r", 3: "\ud800\x9b5n"}),
        None,
    ),
    "strings-never-come": (
        "Requests for strings wait for ever.",
        lying({(_STRING, None): NEVER}),
        None,
    ),
    "strings-late": ("Strings come just before anybody would give up.", late(_STRING), None),
    "bos-64k": (
        "A BOS of 65535 bytes.",
        lying({}, descriptor=_WITH_BOS, bos=b"\x05\x0f\xff\xff\x01" + bytes(LARGEST - 5)),
        None,
    ),
    "bos-lies": (
        "A BOS whose wTotalLength is 65535 and which has 5 bytes.",
        lying({}, descriptor=_WITH_BOS, bos=b"\x05\x0f\xff\xff\xff"),
        None,
    ),
    "bos-never-comes": (
        "The BOS is asked for and never comes.",
        lying({(_BOS, None): NEVER}, descriptor=_WITH_BOS),
        None,
    ),
    "super-speed-at-full": (
        "bcdUSB 0xFFFF and a bMaxPacketSize0 of 9, at full speed.",
        lambda: EmulatedDevice(
            descriptor=patched(DEVICE, {2: 0xFF, 3: 0xFF, 7: 9}),
            configurations=[CONFIGURATION],
            strings=STRINGS,
            speed=Speed.FULL,
        ),
        None,
    ),
    "total-length-4096": (
        "A configuration of 4096 bytes.",
        saying(filled(specific(0x41, bytes(98)), 4096)),
        None,
    ),
}

assert le16(LARGEST) == filled(b"\x02\x41")[2:4]
