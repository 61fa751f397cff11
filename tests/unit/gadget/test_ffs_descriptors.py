"""The blocks as the kernel reads them: include/uapi/linux/usb/functionfs.h."""

import struct

from gadgetip.gadget.ffs_descriptors import filler_blob, function_blob, strings_blob
from gadgetip.gadget.steering import EndpointRequest
from gadgetip.usb import Descriptor, Direction, Speed, TransferType
from tests.unit.usb.examples import BOT_HIGH_SPEED

from .devices import HS_STICK
from .planning import functionfs, only

MAGIC_V2, STRINGS_MAGIC = 3, 2
FULL, HIGH, SUPER = 1, 2, 4
FLAGS = 64 | 128


def test_descriptors_at_each_speed() -> None:
    blob = function_blob(only(functionfs(HS_STICK)).descriptors, FLAGS)
    full = BOT_HIGH_SPEED[9:].replace(b"\x00\x02\x00", b"\x40\x00\x00")
    assert blob == (
        struct.pack("<IIIII", MAGIC_V2, len(blob), FULL | HIGH | FLAGS, 3, 3)
        + full
        + BOT_HIGH_SPEED[9:]
    )


def test_every_byte_of_odd_descriptors_arrives() -> None:
    odd = [Descriptor(bytes([n, 0x21]) + bytes(range(2, n))) for n in (2, 3, 9, 54, 255)]
    blob = function_blob({Speed.FULL: odd, Speed.SUPER: odd[:1]}, 0)
    head = struct.pack("<IIIII", MAGIC_V2, len(blob), FULL | SUPER, 5, 1)
    assert blob == head + b"".join(d.data for d in odd) + odd[0].data


def test_fillers_are_endpoints_at_superspeed_and_no_interface() -> None:
    bulk_in = EndpointRequest(Direction.IN, TransferType.BULK, 8)
    int_in = EndpointRequest(Direction.IN, TransferType.INTERRUPT, 8)
    bulk_out = EndpointRequest(Direction.OUT, TransferType.BULK, 8)
    blob = filler_blob((bulk_out, bulk_in, int_in))
    companion = bytes.fromhex("063000000000")
    assert blob == (
        struct.pack("<IIII", MAGIC_V2, len(blob), SUPER, 6)
        + bytes.fromhex("07050102080001")
        + companion
        + bytes.fromhex("07058102080001")
        + companion
        + bytes.fromhex("07058203080001")
        + companion
    )


def test_strings() -> None:
    blob = strings_blob({0x0409: ("one", "zw\u00f6lf"), 0x0407: ("", "x")})
    assert blob == (
        struct.pack("<IIII", STRINGS_MAGIC, len(blob), 2, 2)
        + struct.pack("<H", 0x0409)
        + b"one\0"
        + "zw\u00f6lf\0".encode()
        + struct.pack("<H", 0x0407)
        + b"\0x\0"
    )
    assert strings_blob({}) == struct.pack("<IIII", STRINGS_MAGIC, 16, 0, 0)
