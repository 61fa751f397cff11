"""Devices such as may be bought, for hypothesis: most of them can be planned.

`tests.unit.usb.strategies` draws whatever parses; here are classes, packet sizes and addresses
that belong together, at every speed.
"""

from dataclasses import replace

from hypothesis import strategies as st

from gadgetip.usb import (
    US_ENGLISH,
    AlternateSetting,
    Configuration,
    ConfigurationDescriptor,
    Descriptor,
    DeviceDescriptor,
    DeviceTree,
    Endpoint,
    EndpointCompanionDescriptor,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    InterfaceDescriptor,
    Speed,
    StringTable,
    TransferType,
)

SPEEDS = (Speed.LOW, Speed.FULL, Speed.HIGH, Speed.SUPER)
CLASSES = ((3, 1, 1), (8, 6, 0x50), (2, 2, 1), (1, 2, 0), (6, 1, 1), (0xE0, 1, 1), (0xFF, 0, 0))
BULK = {Speed.FULL: 64, Speed.HIGH: 512, Speed.SUPER: 1024}
HID = Descriptor(bytes.fromhex("0921110100012241 00"))
SPECIFIC = Descriptor(bytes.fromhex("0524001001"))
OTG = Descriptor(b"\x03\x09\x03")
COMPANION = EndpointCompanionDescriptor.new()
TEXTS = {index: f"text {index}" for index in range(1, 8)}


@st.composite
def _endpoint(draw: st.DrawFn, address: int, speed: Speed, *, isochronous: bool) -> Endpoint:
    kinds = [TransferType.INTERRUPT]
    if speed > Speed.LOW:
        kinds += [TransferType.BULK] * 3
    if isochronous and speed > Speed.LOW:
        kinds.append(TransferType.ISOCHRONOUS)
    kind = draw(st.sampled_from(kinds))
    size = BULK.get(speed, 8)
    if kind is not TransferType.BULK:
        size = draw(st.sampled_from([each for each in (8, 16, 64, 512) if each <= size]))
    descriptor = EndpointDescriptor.new(
        bEndpointAddress=address, bmAttributes=kind, wMaxPacketSize=size, bInterval=4
    )
    return Endpoint(descriptor, COMPANION if speed >= Speed.SUPER else None)


@st.composite
def _setting(
    draw: st.DrawFn, number: int, alternate: int, addresses: list[int], speed: Speed
) -> AlternateSetting:
    triple = draw(st.sampled_from(CLASSES))
    chosen = draw(st.lists(st.sampled_from(addresses), unique=True)) if addresses else []
    isochronous = draw(st.integers(0, 3)) == 0
    endpoints = tuple(draw(_endpoint(each, speed, isochronous=isochronous)) for each in chosen)
    extra: tuple[Descriptor, ...] = (HID,) if triple[0] == 3 else ()
    if draw(st.integers(0, 4)) == 0:
        extra = (*extra, SPECIFIC)
    interface = InterfaceDescriptor.new(
        bInterfaceNumber=number,
        bAlternateSetting=alternate,
        bInterfaceClass=triple[0],
        bInterfaceSubClass=triple[1],
        bInterfaceProtocol=triple[2],
        iInterface=draw(st.integers(0, 8)),
    )
    return AlternateSetting(interface, extra, endpoints)


@st.composite
def _configurations(draw: st.DrawFn, value: int, speed: Speed) -> Configuration:
    numbers = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True))
    addresses = draw(st.permutations([d | n for d in (0x00, 0x80) for n in range(1, 6)]))
    settings: list[AlternateSetting] = []
    for position, number in enumerate(numbers):
        own = addresses[position * 2 : position * 2 + 2]
        count = draw(st.sampled_from([1, 1, 1, 3]))
        settings += [draw(_setting(number, alternate, own, speed)) for alternate in range(count)]
    leading: tuple[Descriptor, ...] = (OTG,) if draw(st.integers(0, 5)) == 0 else ()
    if len(numbers) > 1 and draw(st.booleans()):
        leading = (
            *leading,
            InterfaceAssociationDescriptor.new(
                bFirstInterface=min(numbers),
                bInterfaceCount=2,
                bFunctionClass=2,
                iFunction=draw(st.integers(0, 8)),
            ),
        )
    header = ConfigurationDescriptor.new(
        bConfigurationValue=value,
        iConfiguration=draw(st.integers(0, 8)),
        bmAttributes=draw(st.sampled_from([0x80, 0xA0, 0xC0, 0xE0, 0x40])),
        bMaxPower=draw(st.sampled_from([0, 1, 50, 112, 250, 255])),
    )
    return Configuration(header, leading, tuple(settings)).retotal()


@st.composite
def plausible_devices(draw: st.DrawFn) -> DeviceTree:
    """A device with one to three configurations, its strings and perhaps a BOS."""
    speed = draw(st.sampled_from(SPEEDS))
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    configurations = tuple(draw(_configurations(value + 1, speed)) for value in range(count))
    named = draw(st.sampled_from([{}, TEXTS, {2: "thing"}, {**TEXTS, 2: "\n", 4: "x" * 200}]))
    langids = draw(st.sampled_from([(US_ENGLISH,), (0x0407, US_ENGLISH, 0x040C)]))
    strings = StringTable(langids, {(i, lang): t for i, t in named.items() for lang in langids})
    indices = draw(st.sampled_from([(1, 2, 3), (0, 2, 0), (3, 2, 1), (0, 0, 0)]))
    device = DeviceDescriptor.new(
        bcdUSB=draw(st.sampled_from([0x0110, 0x0200, 0x0201, 0x0210, 0x0320])),
        bMaxPacketSize0=9 if speed >= Speed.SUPER else draw(st.sampled_from([8, 64])),
        idVendor=0x1209,
        idProduct=1,
        bcdDevice=draw(st.sampled_from([0x0100, 0x0A0B])),
        iManufacturer=indices[0],
        iProduct=indices[1],
        iSerialNumber=indices[2],
        bNumConfigurations=count,
    )
    bos = draw(st.sampled_from([b"", bytes.fromhex("050f050000")]))
    return replace(DeviceTree(device, configurations, strings, speed), bos=bos)
