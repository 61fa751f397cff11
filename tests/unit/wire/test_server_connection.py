"""The server: hostile clients are refused, and our own wrong answers before they are sent."""

from typing import Any

import pytest

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.wire import (
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    Direction,
    IsoPacketDescriptor,
    OpStatus,
    Phase,
    RepImport,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    build,
)
from tests.unit.wire.pair import DEVICE, DEVID, feed
from tests.unit.wire.vectors import CLIENT, words

PACKETS = (IsoPacketDescriptor(0, 8), IsoPacketDescriptor(8, 8))
BULK_IN = CmdSubmit(5, DEVID, Direction.IN, 1, 0, 64)
BULK_OUT = CmdSubmit(6, DEVID, Direction.OUT, 1, 0, 3, data=b"abc")
ISO_IN = CmdSubmit(7, DEVID, Direction.IN, 2, 2, 16, number_of_packets=2, iso_packets=PACKETS)
ISO = (ISO_IN.iso_packets[0]._replace(actual_length=2), ISO_IN.iso_packets[1])


@pytest.fixture
def server() -> ServerConnection:
    server = ServerConnection.after_import(DEVID, max_transfer_bytes=1000)
    assert feed(server, [build(BULK_IN) + build(BULK_OUT) + build(ISO_IN)]) == [
        BULK_IN,
        BULK_OUT,
        ISO_IN,
    ]
    return server


@pytest.mark.parametrize(("message", "raw"), CLIENT[3:])
def test_vectors(message: ClientMessage, raw: bytes) -> None:
    assert feed(ServerConnection.after_import(DEVID), [raw]) == [message]


def submit_header(  # the fields of the document, in its order
    *numbers: int, seqnum: int = 20, devid: int = DEVID, direction: int = 1, ep: int = 1
) -> bytes:
    return words(1, seqnum, devid, direction, ep, *numbers) + bytes(8)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (words(3) + bytes(44), r"command is 0x3, must be 1 \(CMD_SUBMIT\) or 2 \(CMD_UNLINK\)"),
        (submit_header(0, 8, 0, 0, 0, devid=1), "CMD_SUBMIT.devid is 1, but 65543 was imported"),
        (words(2, 20, 1, 0, 0, 5) + bytes(24), "CMD_UNLINK.devid is 1, but 65543 was imported"),
        (words(2, 20, DEVID, 2, 0, 5) + bytes(24), "CMD_UNLINK.direction is 2"),
        (submit_header(0, 8, 0, 0, 0, direction=2), "CMD_SUBMIT.direction is 2, must be 0"),
        (submit_header(0, 8, 0, 0, 0, ep=16), "CMD_SUBMIT.ep is 16, must be 0 to 15"),
        (submit_header(0, -1, 0, 0, 0), "CMD_SUBMIT.transfer_buffer_length is -1, must be 0 to"),
        (submit_header(0, 1001, 0, 0, 0), "transfer_buffer_length is 1001, must be 0 to 1000"),
        (submit_header(0, 8, 0, 1025, 0), "CMD_SUBMIT.number_of_packets is 1025, must be 0"),
        (submit_header(0, 8, 0, -2, 0), "CMD_SUBMIT.number_of_packets is -2, must be 0"),
        (
            submit_header(0, 8, 0, 1, 0) + words(1, 8, 0, 0),
            r"CMD_SUBMIT.iso_packets\[0\] ends at offset\+length 9, but .* is 8",
        ),
        (
            submit_header(0, 8, 0, 1, 0) + words(0, 8, 1, 0),
            r"CMD_SUBMIT.iso_packets\[0\].actual_length is 1, must be 0",
        ),
        (submit_header(0, 8, 0, 0, 0, seqnum=5), "CMD_SUBMIT.seqnum is 5, which is still in use"),
    ],
)
def test_hostile_clients(server: ServerConnection, raw: bytes, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        feed(server, [raw])
    assert server.phase is Phase.ERROR


def test_a_client_that_unlinks_twice(server: ServerConnection) -> None:
    raw = build(CmdUnlink(20, DEVID, 5)) + build(CmdUnlink(21, DEVID, 5))
    with pytest.raises(RemoteProtocolError, match=r"CMD_UNLINK\.unlink_seqnum is 5, unlinked"):
        feed(server, [raw])


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (RetSubmit(9, 0, 0), "RET_SUBMIT.seqnum is 9, but no such CMD_SUBMIT is pending"),
        (RetSubmit(5, 0, 65, data=bytes(65)), "actual_length is 65, but the URB asked for 64"),
        (RetSubmit(5, 0, 3), "RET_SUBMIT.data is 0 bytes, but .* call for 3"),
        (RetSubmit(6, 0, 3, data=b"abc"), "RET_SUBMIT.data is 3 bytes, but .* call for 0"),
        (RetSubmit(7, 0, 0), "RET_SUBMIT.number_of_packets is 0, but the URB has 2"),
        (
            RetSubmit(7, 0, 1, 0, 2, data=b"a", iso_packets=ISO),
            "RET_SUBMIT.iso_packets have actual_length 2 in sum",
        ),
        (RetUnlink(5, 0), "RET_UNLINK.seqnum is 5, but no such CMD_UNLINK is pending"),
        (RepImport(OpStatus.OK, DEVICE), r"OP_REP_IMPORT \(granted\) is not allowed in the URB"),
        (BULK_IN, "a server does not send CMD_SUBMIT"),
    ],
)
def test_what_is_not_sent(server: ServerConnection, message: Any, complaint: str) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        server.send(message)
    assert server.pending == 3


def test_a_submit_is_answered_once(server: ServerConnection) -> None:
    server.send(RetSubmit(6, 0, 3))
    with pytest.raises(LocalProtocolError, match=r"RET_SUBMIT\.seqnum is 6"):
        server.send(RetSubmit(6, 0, 3))


def test_a_submit_that_was_unlinked_is_not_answered(server: ServerConnection) -> None:
    feed(server, [build(CmdUnlink(20, DEVID, 5))])
    server.send(RetUnlink(20, -104))
    with pytest.raises(LocalProtocolError, match=r"RET_SUBMIT\.seqnum is 5"):
        server.send(RetSubmit(5, 0, 0))


def test_an_unlink_that_came_too_late(server: ServerConnection) -> None:
    feed(server, [build(CmdUnlink(20, DEVID, 5))])
    server.send(RetUnlink(20, 0))
    assert server.tombstones == 1
    server.send(RetSubmit(5, 0, 1, data=b"a"))
    assert server.tombstones == 0


def test_another_device_is_not_granted() -> None:
    server = ServerConnection()
    feed(server, [build(ReqImport("9-9"))])
    with pytest.raises(LocalProtocolError, match="busid is '1-2', but '9-9' was asked for"):
        server.send(RepImport(OpStatus.OK, DEVICE))
    assert server.phase is Phase.IMPORT
