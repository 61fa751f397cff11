"""Hypothesis strategies for every message, and for the ways a stream can be cut."""

from hypothesis import strategies as st

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
)
from gadgetip.wire.rules import Violation, decode_text

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
s32 = st.integers(-0x8000_0000, 0x7FFF_FFFF)
no_packets = st.sampled_from([0, NOT_ISOCHRONOUS])


def _is_allowed(raw: bytes) -> bool:
    try:
        decode_text("", raw + b"\0")
    except Violation:
        return False
    return True


def texts(size: int) -> st.SearchStrategy[str]:
    """Strings that fit a field of `size` bytes; some are not UTF-8."""
    raw = st.one_of(
        st.binary(max_size=size - 1).map(lambda raw: raw.replace(b"\0", b"")),
        st.from_regex(rb"[0-9]{1,2}-[0-9](\.[0-9]){0,3}", fullmatch=True),
    )
    return raw.filter(_is_allowed).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


interface_records = st.builds(InterfaceRecord, u8, u8, u8)
busids = texts(32)


@st.composite
def device_records(draw: st.DrawFn, *, in_list: bool) -> DeviceRecord:
    interfaces = tuple(draw(st.lists(interface_records, max_size=5)))
    return DeviceRecord(
        path=draw(texts(256)),
        busid=draw(busids),
        busnum=draw(u16),
        devnum=draw(u16),
        speed=draw(u32),
        idVendor=draw(u16),
        idProduct=draw(u16),
        bcdDevice=draw(u16),
        bDeviceClass=draw(u8),
        bDeviceSubClass=draw(u8),
        bDeviceProtocol=draw(u8),
        bConfigurationValue=draw(u8),
        bNumConfigurations=draw(u8),
        bNumInterfaces=len(interfaces) if in_list else draw(u8),
        interfaces=interfaces if in_list else (),
    )


refusals = st.sampled_from([status for status in OpStatus if status is not OpStatus.OK])
requests = st.one_of(st.just(ReqDevlist()), st.builds(ReqImport, busids))
rep_devlists = st.one_of(
    st.builds(RepDevlist, refusals),
    st.builds(
        RepDevlist,
        st.just(OpStatus.OK),
        st.lists(device_records(in_list=True), max_size=4).map(tuple),
    ),
)
rep_imports = st.one_of(
    st.builds(RepImport, refusals),
    st.builds(RepImport, st.just(OpStatus.OK), device_records(in_list=False)),
)


@st.composite
def iso_packets(draw: st.DrawFn, length: int) -> tuple[IsoPacketDescriptor, ...]:
    """Packets of a submit, anywhere inside a buffer of `length`, with gaps or overlapping."""
    packets = []
    for _ in range(draw(st.integers(1, 6))):
        offset = draw(st.integers(0, length))
        packets.append(
            IsoPacketDescriptor(offset, draw(st.integers(0, length - offset)), 0, draw(s32))
        )
    return tuple(packets)


@st.composite
def cmd_submits(draw: st.DrawFn, seqnum: int, devid: int) -> CmdSubmit:
    direction = draw(st.sampled_from(Direction))
    length = draw(st.integers(0, 300))
    packets = draw(iso_packets(length)) if draw(st.booleans()) else ()
    return CmdSubmit(
        seqnum=seqnum,
        devid=devid,
        direction=direction,
        ep=draw(st.integers(0, 15)),
        transfer_flags=draw(u32),
        transfer_buffer_length=length,
        start_frame=draw(s32),
        number_of_packets=len(packets) or draw(no_packets),
        interval=draw(s32),
        setup=draw(st.binary(min_size=8, max_size=8)),
        data=b"" if direction else draw(st.binary(min_size=length, max_size=length)),
        iso_packets=packets,
    )


@st.composite
def answers(draw: st.DrawFn, submit: CmdSubmit) -> RetSubmit:
    """A legal RET_SUBMIT to `submit`."""
    packets = submit.iso_packets
    if packets:
        packets = tuple(
            p._replace(actual_length=draw(st.integers(0, p.length)), status=draw(s32))
            for p in packets
        )
        # Packets that overlap may have more in sum than the buffer holds: nothing came, then.
        if sum(p.actual_length for p in packets) > submit.transfer_buffer_length:
            packets = tuple(p._replace(actual_length=0) for p in packets)
        actual_length = sum(p.actual_length for p in packets)
    else:
        actual_length = draw(st.integers(0, submit.transfer_buffer_length))
    data_length = actual_length if submit.direction else 0
    return RetSubmit(
        seqnum=submit.seqnum,
        status=draw(s32),
        actual_length=actual_length,
        start_frame=draw(s32),
        number_of_packets=len(packets) or draw(no_packets),
        error_count=draw(s32),
        data=draw(st.binary(min_size=data_length, max_size=data_length)),
        iso_packets=packets,
    )


@st.composite
def urb_requests(draw: st.DrawFn, devid: int) -> list[ClientMessage]:
    """What a client may send in the URB phase: submits, and unlinks of some of them."""
    messages: list[ClientMessage] = []
    not_unlinked: list[int] = []
    seqnums: list[int] = draw(st.lists(u32, max_size=6, unique=True))
    for seqnum in seqnums:
        if draw(st.booleans()) and not_unlinked:
            victim = not_unlinked.pop(draw(st.integers(0, len(not_unlinked) - 1)))
            endpoint = draw(st.sampled_from(Direction)), draw(st.integers(0, 15))
            messages.append(CmdUnlink(seqnum, devid, victim, *endpoint))
        else:
            messages.append(draw(cmd_submits(seqnum, devid)))
            not_unlinked.append(seqnum)
    return messages


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """One stream, cut somewhere; perhaps into single bytes."""
    if draw(st.booleans()):
        size = draw(st.sampled_from([1, 1, 2, 7, 47, 48, 49, 512, 513]))
        return [stream[at : at + size] for at in range(0, len(stream), size)]
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    ends = [*places, len(stream)]
    return [stream[a:b] for a, b in zip([0, *places], ends, strict=True)]
