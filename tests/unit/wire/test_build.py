"""Messages to bytes: by hand-made vectors, and what is refused and why."""

from dataclasses import replace
from typing import Any

import pytest

from gadgetip.errors import LocalProtocolError
from gadgetip.wire import (
    MAX_DEVICES,
    MAX_ISO_PACKETS,
    CmdSubmit,
    CmdUnlink,
    Direction,
    InterfaceRecord,
    IsoPacketDescriptor,
    Message,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqImport,
    RetSubmit,
    RetUnlink,
    build,
    build_header,
    build_parts,
)
from tests.unit.wire.pair import DEVICE
from tests.unit.wire.vectors import CLIENT, HUB, LISTED, SERVER


@pytest.mark.parametrize(("message", "expected"), [*CLIENT, *SERVER])
def test_vectors(message: Message, expected: bytes) -> None:
    assert build(message).hex(" ") == expected.hex(" ")
    assert b"".join(build_parts(message)) == expected


@pytest.mark.parametrize(("message", "expected"), [*CLIENT, *SERVER])
def test_header(message: Message, expected: bytes) -> None:
    if isinstance(message, (CmdSubmit, RetSubmit, CmdUnlink, RetUnlink)):
        assert build_header(message) == expected[:48]


def test_the_payload_goes_out_as_it_came() -> None:
    payload = memoryview(bytearray(b"abc"))
    submit = CmdSubmit(1, 2, Direction.OUT, 1, transfer_buffer_length=3, data=payload)
    assert build_parts(submit)[1] is payload


def test_a_memoryview_is_measured_in_bytes() -> None:
    words = memoryview(b"12345678").cast("I")
    submit = CmdSubmit(1, 2, Direction.OUT, 1, transfer_buffer_length=8, data=words)
    assert build(submit)[48:] == b"12345678"


IN = CmdSubmit(1, 2, Direction.IN, 1, 0, 64)
OUT = CmdSubmit(1, 2, Direction.OUT, 1, 0, 3, data=b"abc")
PACKET = IsoPacketDescriptor(0, 8)
ISO = IN._replace(number_of_packets=1, iso_packets=(PACKET,))
RET = RetSubmit(1, 0, 3, data=b"abc")
NOT_A_DIRECTION: Any = 2
NOT_A_NUMBER: Any = "1"


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (IN._replace(seqnum=-1), "CMD_SUBMIT.seqnum is -1, must be a number from 0 to 4294967295"),
        (IN._replace(seqnum=1 << 32), "CMD_SUBMIT.seqnum is 4294967296"),
        (IN._replace(seqnum=NOT_A_NUMBER), "CMD_SUBMIT.seqnum is '1'"),
        (IN._replace(devid=1 << 32), "CMD_SUBMIT.devid is 4294967296"),
        (IN._replace(direction=NOT_A_DIRECTION), "CMD_SUBMIT.direction is 2"),
        (IN._replace(ep=16), "CMD_SUBMIT.ep is 16"),
        (IN._replace(ep=0x81), "CMD_SUBMIT.ep is 129"),
        (IN._replace(transfer_flags=-1), "CMD_SUBMIT.transfer_flags is -1"),
        (IN._replace(transfer_buffer_length=-1), "CMD_SUBMIT.transfer_buffer_length is -1"),
        (IN._replace(transfer_buffer_length=1 << 31), "transfer_buffer_length is 2147483648"),
        (IN._replace(interval=1 << 31), "CMD_SUBMIT.interval is 2147483648"),
        (IN._replace(setup=b"1234567"), "CMD_SUBMIT.setup is 7 bytes, must be 8"),
        (IN._replace(data=b"x"), "CMD_SUBMIT.data is 1 bytes, but .* call for 0"),
        (OUT._replace(data=b"ab"), "CMD_SUBMIT.data is 2 bytes, but .* call for 3"),
        (OUT._replace(data=b""), "CMD_SUBMIT.data is 0 bytes, but .* call for 3"),
        (IN._replace(number_of_packets=-2), "CMD_SUBMIT.number_of_packets is -2"),
        (IN._replace(number_of_packets=MAX_ISO_PACKETS + 1), "number_of_packets is 1025"),
        (IN._replace(number_of_packets=1), "iso_packets has 0 packets, but .* is 1"),
        (IN._replace(iso_packets=(PACKET,)), "iso_packets has 1 packets, but .* is 0"),
        (ISO._replace(iso_packets=(PACKET._replace(offset=57),)), r"ends at offset\+length 65"),
        (ISO._replace(iso_packets=(PACKET._replace(actual_length=1),)), "actual_length is 1, must"),
        (ISO._replace(iso_packets=(PACKET._replace(length=-1),)), r"iso_packets\[0\].length is -1"),
        (RET._replace(actual_length=-1), "RET_SUBMIT.actual_length is -1, which is negative"),
        (RET._replace(actual_length=4), "RET_SUBMIT.data is 3 bytes, but actual_length is 4"),
        (RET._replace(status=1 << 31), "RET_SUBMIT.status is 2147483648"),
        (RET._replace(number_of_packets=1), "iso_packets has 0 packets"),
        (RET._replace(number_of_packets=-2), "RET_SUBMIT.number_of_packets is -2"),
        (CmdUnlink(1, 2, 1 << 32), "CMD_UNLINK.unlink_seqnum is 4294967296"),
        (CmdUnlink(1, 2, 3, ep=16), "CMD_UNLINK.ep is 16"),
        (CmdUnlink(1, 2, 3, NOT_A_DIRECTION), "CMD_UNLINK.direction is 2"),
        (RetUnlink(-1, 0), "RET_UNLINK.seqnum is -1"),
        (ReqImport("x" * 32), "OP_REQ_IMPORT.busid is 32 bytes long, but 31 fit"),
        (ReqImport("ä" * 16), "OP_REQ_IMPORT.busid is 32 bytes long, but 31 fit"),
        (ReqImport("1-1\0"), r"OP_REQ_IMPORT.busid is '1-1\\x00': control characters"),
        (ReqImport("\ud800"), "OP_REQ_IMPORT.busid .* cannot be encoded"),
        (RepImport(OpStatus.OK), "OP_REP_IMPORT.device must be there if"),
        (RepImport(OpStatus.NA, DEVICE), "OP_REP_IMPORT.device .* the status is NA"),
        (RepImport(OpStatus.OK, replace(DEVICE, path="x" * 256)), "path is 256 bytes long"),
        (RepImport(OpStatus.OK, replace(DEVICE, idVendor=1 << 16)), "idVendor is 65536"),
        (RepImport(OpStatus.OK, replace(DEVICE, busnum=1 << 16)), "busnum is 65536"),
        (RepDevlist(OpStatus.NA, (HUB,)), "OP_REP_DEVLIST.devices must be empty"),
        (RepDevlist(OpStatus.OK, (HUB,) * (MAX_DEVICES + 1)), "devices has 1025, at most 1024"),
        (RepDevlist(OpStatus.OK, (HUB, DEVICE)), r"devices\[1\].interfaces has 0, but .* is 2"),
        (
            RepDevlist(
                OpStatus.OK, (replace(LISTED, interfaces=(InterfaceRecord(0, 0, 256),) * 2),)
            ),
            r"devices\[0\].interfaces.bInterfaceProtocol is 256",
        ),
    ],
)
def test_what_is_refused(message: Message, complaint: str) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        build(message)
    if isinstance(message, (CmdSubmit, RetSubmit, CmdUnlink, RetUnlink)) and (
        "iso_packets[0].length" not in complaint.replace("\\", "")  # not in the header
    ):
        with pytest.raises(LocalProtocolError, match=complaint):
            build_header(message)


def test_an_import_does_not_describe_interfaces() -> None:
    """A server may give the record that it lists; what does not fit the reply is left out."""
    assert build(RepImport(OpStatus.OK, LISTED)) == build(RepImport(OpStatus.OK, DEVICE))
