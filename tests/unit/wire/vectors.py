"""Messages and their bytes, put together by hand from the protocol document."""

from gadgetip.wire import (
    NOT_ISOCHRONOUS,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    DeviceRecord,
    Direction,
    InterfaceRecord,
    IsoPacketDescriptor,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
)
from tests.unit.wire.pair import DEVICE, DEVID


def words(*numbers: int) -> bytes:
    """32 bit big endian words."""
    return b"".join((number & 0xFFFF_FFFF).to_bytes(4, "big") for number in numbers)


DEVICE_BYTES = (
    b"/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2".ljust(256, b"\0")
    + b"1-2".ljust(32, b"\0")
    + words(1, 7, 3)
    + bytes.fromhex("1d6b 0104 0612 ef 02 01 01 01 02")
)

HUB = DeviceRecord("/p", "2-1.4", 2, 3, 5, 1, 2, 3, 4, 5, 6, 7, 8, 0)
HUB_BYTES = (
    b"/p".ljust(256, b"\0")
    + b"2-1.4".ljust(32, b"\0")
    + words(2, 3, 5)
    + bytes.fromhex("0001 0002 0003 04 05 06 07 08 00")
)

LISTED = DeviceRecord(
    **{
        **{name: getattr(DEVICE, name) for name in DEVICE.__slots__},
        "interfaces": (InterfaceRecord(3, 1, 2), InterfaceRecord(8, 6, 0x50)),
    }
)

CLIENT: list[tuple[ClientMessage, bytes]] = [
    (ReqDevlist(), bytes.fromhex("0111 8005 00000000")),
    (ReqImport("1-2"), bytes.fromhex("0111 8003 00000000") + b"1-2" + bytes(29)),
    (ReqImport("x" * 31), bytes.fromhex("0111 8003 00000000") + b"x" * 31 + b"\0"),
    # GET_DESCRIPTOR(device), 18 bytes
    (
        CmdSubmit(
            1,
            DEVID,
            Direction.IN,
            0,
            0x200,
            18,
            setup=bytes.fromhex("80 06 00 01 00 00 12 00"),
        ),
        words(1, 1, 0x10007, 1, 0, 0x200, 18, 0, 0, 0) + bytes.fromhex("8006000100001200"),
    ),
    (
        CmdSubmit(
            0xFFFF_FFFF,
            DEVID,
            Direction.OUT,
            15,
            0x40,
            3,
            -1,
            NOT_ISOCHRONOUS,
            -2,
            data=b"abc",
        ),
        words(1, -1, 0x10007, 0, 15, 0x40, 3, -1, -1, -2, 0, 0) + b"abc",
    ),
    (
        CmdSubmit(
            7,
            DEVID,
            Direction.OUT,
            2,
            2,
            5,
            100,
            2,
            1,
            data=b"hello",
            iso_packets=(IsoPacketDescriptor(0, 2), IsoPacketDescriptor(2, 3, 0, -18)),
        ),
        words(1, 7, 0x10007, 0, 2, 2, 5, 100, 2, 1, 0, 0)
        + b"hello"
        + words(0, 2, 0, 0, 2, 3, 0, -18),
    ),
    (CmdUnlink(9, DEVID, 7), words(2, 9, 0x10007, 0, 0, 7) + bytes(24)),
    (
        CmdUnlink(9, DEVID, 7, Direction.IN, 3),
        words(2, 9, 0x10007, 1, 3, 7) + bytes(24),
    ),
]

SERVER: list[tuple[ServerMessage, bytes]] = [
    (RepDevlist(OpStatus.OK), bytes.fromhex("0111 0005 00000000 00000000")),
    (RepDevlist(OpStatus.ERROR), bytes.fromhex("0111 0005 00000005")),
    (
        RepDevlist(OpStatus.OK, (LISTED, HUB)),
        bytes.fromhex("0111 0005 00000000 00000002")
        + DEVICE_BYTES
        + bytes.fromhex("03010200 08065000")
        + HUB_BYTES,
    ),
    (RepImport(OpStatus.NODEV), bytes.fromhex("0111 0003 00000004")),
    (RepImport(OpStatus.OK, DEVICE), bytes.fromhex("0111 0003 00000000") + DEVICE_BYTES),
    (
        RetSubmit(5, -32, 0, number_of_packets=NOT_ISOCHRONOUS),
        words(3, 5, 0, 0, 0, -32, 0, 0, -1, 0, 0, 0),
    ),
    (
        RetSubmit(6, 0, 3, 1, 0, 2, data=b"abc"),
        words(3, 6, 0, 0, 0, 0, 3, 1, 0, 2, 0, 0) + b"abc",
    ),
    (
        RetSubmit(
            7,
            0,
            3,
            100,
            2,
            1,
            b"abc",
            (IsoPacketDescriptor(0, 8, 1), IsoPacketDescriptor(8, 8, 2, -71)),
        ),
        words(3, 7, 0, 0, 0, 0, 3, 100, 2, 1, 0, 0) + b"abc" + words(0, 8, 1, 0, 8, 8, 2, -71),
    ),
    (RetUnlink(9, -104), words(4, 9, 0, 0, 0, -104) + bytes(24)),
]
