"""Devices to plan for, built from their descriptors."""

from gadgetip.usb import (
    US_ENGLISH,
    DeviceDescriptor,
    DeviceTree,
    Speed,
    StringTable,
    parse_configuration,
    parse_device_file,
)
from tests.emulated.devices import DEVICES
from tests.unit.usb.examples import BOT_HIGH_SPEED, KEYBOARD, SERIAL_COMPOSITE, WEBCAM

DEVICE = DeviceDescriptor.new(
    bcdUSB=0x0200,
    bMaxPacketSize0=64,
    idVendor=0x0781,
    idProduct=0x5581,
    bcdDevice=0x0100,
    iManufacturer=1,
    iProduct=2,
    iSerialNumber=3,
    bNumConfigurations=1,
)
NAMES = {1: "SanDisk", 2: "Ultra", 3: "4C530001"}


def strings(texts: dict[int, str], langids: tuple[int, ...] = (US_ENGLISH,)) -> StringTable:
    return StringTable(langids, {(i, lang): text for i, text in texts.items() for lang in langids})


def hexadecimal(text: str) -> bytes:
    """Hexadecimal digits; what follows a ; on a line is for the reader."""
    return bytes.fromhex("".join(line.partition(";")[0] for line in text.splitlines()))


def configuration(*descriptors: bytes, interfaces: int = 1, attributes: int = 0x80) -> bytes:
    """A configuration of these descriptors, with a header that counts them."""
    body = b"".join(descriptors)
    total = (9 + len(body)).to_bytes(2, "little")
    return bytes((9, 2)) + total + bytes((interfaces, 1, 0, attributes, 50)) + body


def interface(
    number: int, endpoints: int, triple: tuple[int, int, int] = (0xFF, 0, 0), alternate: int = 0
) -> bytes:
    return bytes((9, 4, number, alternate, endpoints, *triple, 0))


def endpoint(address: int, kind: int = 2, size: int = 512, interval: int = 0) -> bytes:
    return bytes((7, 5, address, kind)) + size.to_bytes(2, "little") + bytes((interval,))


def device(
    *configurations: bytes,
    speed: Speed = Speed.HIGH,
    descriptor: DeviceDescriptor = DEVICE,
    texts: StringTable | None = None,
    bos: bytes = b"",
) -> DeviceTree:
    return DeviceTree(
        descriptor.replace(bNumConfigurations=len(configurations)),
        tuple(map(parse_configuration, configurations)),
        strings(NAMES) if texts is None else texts,
        speed,
        bos,
    )


def stick(in_: int = 0x81, out: int = 0x02, size: int = 512) -> bytes:
    """A bulk-only stick with these addresses."""
    return configuration(
        interface(0, 2, (8, 6, 0x50)), endpoint(in_, 2, size), endpoint(out, 2, size)
    )


HS_STICK = device(BOT_HIGH_SPEED)
FS_STICK = device(stick(size=64), speed=Speed.FULL)
KEYBOARD_LS = device(KEYBOARD, speed=Speed.LOW, descriptor=DEVICE.replace(bMaxPacketSize0=8))
SERIAL = device(SERIAL_COMPOSITE)
CAMERA = device(WEBCAM)

UAS_STICK = device(
    hexadecimal("""
    09 02 79 00 01 01 00 80 70
    09 04 00 00 02 08 06 50 00   ; bulk-only
    07 05 81 02 00 04 00
    06 30 0f 00 00 00
    07 05 02 02 00 04 00
    06 30 0f 00 00 00
    09 04 00 01 04 08 06 62 00   ; UAS
    07 05 81 02 00 04 00
    06 30 0f 05 00 00
    04 24 03 00                  ; pipe usage: data in
    07 05 02 02 00 04 00
    06 30 0f 05 00 00
    04 24 04 00
    07 05 83 02 00 04 00
    06 30 0f 05 00 00
    04 24 02 00
    07 05 04 02 00 04 00
    06 30 00 00 00 00
    04 24 01 00
    """),
    speed=Speed.SUPER,
    descriptor=DEVICE.replace(bcdUSB=0x0320, bMaxPacketSize0=9),
    bos=bytes.fromhex("050f1600020710020200000007100b0000000000"),
)


def emulated(name: str) -> DeviceTree:
    """One of the emulated devices, as its descriptors say it."""
    made = DEVICES[name]()
    table = StringTable(
        made.languages,
        {(i, lang): text for i, text in made.strings.items() for lang in made.languages},
    )
    data = made.descriptor + b"".join(made.configurations)
    return parse_device_file(data, strings=table, speed=made.speed, bos=made.bos)
