"""USB/IP out of a tape: messages that are right, and ways to make them wrong.

Most of what is drawn is right, because what is wrong ends a connection: bugs behind a thousand
good messages are not found by noise. `broken` takes the bytes of a good one and spoils a field, a
length, or the whole.
"""

from collections.abc import Collection

from gadgetip.wire import (
    CmdSubmit,
    CmdUnlink,
    DeviceRecord,
    Direction,
    InterfaceRecord,
    IsoPacketDescriptor,
    OpStatus,
    RepDevlist,
    RepImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
)
from tests.fuzz.draw import Draw

MAX_TRANSFER = 1 << 16
BUSID = "1-2"
DEVID = 1 << 16 | 7

NUMBERS = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 48, 64, 255, 256, 512, 1023, 1024, 1025, 4096),
    *(MAX_TRANSFER - 1, MAX_TRANSFER, MAX_TRANSFER + 1, 0x0111, 0x8003, 0x8005, 1 << 24),
    *(0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF, 0xFFFF_FFE0, DEVID, DEVID + 1),
)
"""What the fields of a header are set to; each is near some limit."""

SETUPS = tuple(
    bytes.fromhex(text)
    for text in (
        "8006000100001200",  # GET_DESCRIPTOR, device
        "800600020000ff00",  # configuration
        "0009010000000000",  # SET_CONFIGURATION 1
        "0009000000000000",
        "0009020000000000",
        "010b000000000000",  # SET_INTERFACE, interface 0, setting 0
        "010b010000000000",
        "010b000001000000",
        "010bffff0f000000",
        "0201000081000000",  # CLEAR_FEATURE(ENDPOINT_HALT)
        "0201000001000000",
        "020100000f000000",
        "2303040001000000",  # SET_FEATURE(PORT_RESET)
        "2303000000000000",
        "8000000000000200",  # GET_STATUS
        "a1fe000000000100",  # Get Max LUN
        "21ff000000000000",  # Bulk-Only Reset
        "4001000000004000",  # vendor, OUT 64
        "c001000000000010",  # vendor, IN 4096
        "c00100000000ffff",
    )
)
"""What a control transfer asks: what a stub must act upon, and what it passes on."""

STATUSES = (0, -32, -104, -71, -75, -108, -110, -121, 1, -(1 << 31), (1 << 31) - 1)
FLAGS = (0, 0x200, 1, 0x201, 2, 0x40, 0x40200, 0xFFFF_FFFF)


class Numbers:
    """Sequence numbers: fresh ones that count up, and sometimes one that is in use."""

    def __init__(self) -> None:
        self._next = 1

    def fresh(self, draw: Draw, used: Collection[int] = ()) -> int:
        """A number for the next message."""
        if used and draw.one_in(24):
            return draw.pick(sorted(used))
        self._next += 1
        return self._next if not draw.one_in(64) else draw.integer(0, 0xFFFF_FFFF)


def length(draw: Draw) -> int:
    """A transfer's length: mostly short, each size of packet, sometimes the most there may be."""
    kind = draw.integer(0, 15)
    if kind < 8:
        return draw.integer(0, 64)
    if kind < 14:
        return draw.pick((0, 8, 18, 64, 512, 513, 1024, 4096))
    return draw.integer(0, MAX_TRANSFER)


def iso_packets(draw: Draw, size: int) -> tuple[IsoPacketDescriptor, ...]:
    """Packets in a buffer of `size`: one behind the other, or with gaps, or overlapping."""
    count = draw.integer(1, 8)
    each = size // count
    if not draw.one_in(4):
        return tuple(IsoPacketDescriptor(n * each, each) for n in range(count))
    packets = []
    for _ in range(count):
        offset = draw.integer(0, size)
        packets.append(IsoPacketDescriptor(offset, draw.integer(0, size - offset)))
    return tuple(packets)


def cmd_submit(draw: Draw, seqnum: int, endpoints: tuple[tuple[Direction, int], ...]) -> CmdSubmit:
    """A submit that every server has to understand, mostly to one of `endpoints`."""
    if draw.one_in(16) or not endpoints:
        direction, ep = draw.pick((Direction.OUT, Direction.IN)), draw.integer(0, 15)
    else:
        direction, ep = draw.pick(endpoints)
    size, setup = length(draw), bytes(8)
    if ep == 0:
        setup = draw.pick(SETUPS) if not draw.one_in(16) else draw.raw(8).ljust(8, b"\0")
        if not draw.one_in(8):
            direction = Direction.IN if setup[0] & 0x80 else Direction.OUT
            size = min(int.from_bytes(setup[6:], "little"), MAX_TRANSFER)
    packets = iso_packets(draw, size) if draw.one_in(6) else ()
    return CmdSubmit(
        seqnum=seqnum,
        devid=DEVID,
        direction=direction,
        ep=ep,
        transfer_flags=draw.pick(FLAGS),
        transfer_buffer_length=size,
        number_of_packets=len(packets) or draw.pick((0, -1)),
        interval=draw.pick((0, 1, 8, 255, -1)),
        setup=setup,
        data=b"" if direction else draw.filled(size),
        iso_packets=packets,
    )


def cmd_unlink(draw: Draw, seqnum: int, pending: Collection[int]) -> CmdUnlink:
    """An unlink of something that is pending, or of something that is not."""
    if pending and not draw.one_in(6):
        return CmdUnlink(seqnum, DEVID, draw.pick(sorted(pending)))
    return CmdUnlink(seqnum, DEVID, draw.pick((0, 1, 2, 3, seqnum, 0xFFFF_FFFF)))


def ret_submit(draw: Draw, submit: CmdSubmit) -> RetSubmit:
    """A right answer to `submit`."""
    status = draw.pick(STATUSES)
    packets = submit.iso_packets
    if packets:
        packets = tuple(
            p._replace(actual_length=draw.integer(0, p.length), status=draw.pick(STATUSES))
            for p in packets
        )
        if sum(p.actual_length for p in packets) > submit.transfer_buffer_length:
            packets = tuple(p._replace(actual_length=0) for p in packets)
        actual = sum(p.actual_length for p in packets)
    else:
        actual = draw.integer(0, submit.transfer_buffer_length)
    return RetSubmit(
        submit.seqnum,
        status,
        actual,
        number_of_packets=submit.number_of_packets,
        data=draw.filled(actual) if submit.direction else b"",
        iso_packets=packets,
    )


def device(draw: Draw, *, listed: bool) -> DeviceRecord:
    """A device as a list or an import reply describes it."""
    interfaces = tuple(InterfaceRecord(8, 6, n) for n in range(draw.integer(0, 4)))
    text = draw.raw(draw.integer(0, 12)).decode("utf-8", "surrogateescape")
    clean = "".join(c for c in text if c.isprintable())
    return DeviceRecord(
        path=f"/sys/{clean}",
        busid=BUSID if not draw.one_in(8) else f"1-{draw.integer(1, 15)}",
        busnum=DEVID >> 16,
        devnum=DEVID & 0xFFFF,
        speed=draw.pick((3, 1, 2, 5, 0, 0xFFFF_FFFF)),
        idVendor=0x1D6B,
        idProduct=draw.integer(0, 0xFFFF),
        bcdDevice=0x0612,
        bDeviceClass=0,
        bDeviceSubClass=0,
        bDeviceProtocol=0,
        bConfigurationValue=draw.integer(0, 255),
        bNumConfigurations=1,
        bNumInterfaces=len(interfaces),
        interfaces=interfaces if listed else (),
    )


def rep_import(draw: Draw) -> RepImport:
    """An answer to OP_REQ_IMPORT, mostly granted."""
    if draw.one_in(8):
        return RepImport(draw.pick([status for status in OpStatus if status]))
    return RepImport(OpStatus.OK, device(draw, listed=False))


def rep_devlist(draw: Draw) -> RepDevlist:
    """An answer to OP_REQ_DEVLIST."""
    if draw.one_in(8):
        return RepDevlist(draw.pick([status for status in OpStatus if status]))
    count = draw.integer(0, 4)
    return RepDevlist(OpStatus.OK, tuple(device(draw, listed=True) for _ in range(count)))


def answer(
    draw: Draw, submits: dict[int, CmdSubmit], unlinks: dict[int, int]
) -> ServerMessage | None:
    """A right answer to one of those that wait; None if nobody waits."""
    waiting = [*submits, *unlinks]
    if not waiting:
        return None
    seqnum = draw.pick(waiting)
    if seqnum in unlinks:
        return RetUnlink(seqnum, draw.pick((-104, 0, -2)))
    return ret_submit(draw, submits[seqnum])


def broken(draw: Draw, raw: bytes) -> bytes:
    """The bytes of a message, made wrong in one of many ways (or, seldom, still right)."""
    kind = draw.integer(0, 7)
    if kind <= 2:
        at = draw.integer(0, max(min(len(raw), 48) // 4 - 1, 0)) * 4
        return raw[:at] + draw.pick(NUMBERS).to_bytes(4, "big") + raw[at + 4 :]
    if kind == 3:
        at = draw.integer(0, max(len(raw) - 1, 0))
        return raw[:at] + draw.raw(1) + raw[at + 1 :]
    if kind == 4:
        return raw[: draw.integer(0, len(raw))]
    if kind == 5:
        return raw + draw.raw(draw.integer(0, 64))
    if kind == 6:
        return raw + raw
    return draw.raw(draw.integer(0, 96))


def cut(draw: Draw, raw: bytes) -> list[bytes]:
    """The same bytes as they may come out of a stream: whole, in some pieces, one by one."""
    kind = draw.integer(0, 7)
    if kind < 5:
        return [raw]
    if kind < 7:
        at = draw.integer(0, len(raw))
        return [raw[:at], raw[at:]]
    size = draw.pick((1, 7, 47, 48, 49, 512))
    if len(raw) // size > 256:
        size = 512
    return [raw[at : at + size] for at in range(0, len(raw), size)]
