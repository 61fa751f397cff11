"""The client: replies are understood by what was asked, and refused by the name of the field."""

import struct
from typing import Any

import pytest

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.wire import (
    NOT_ISOCHRONOUS,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    Direction,
    IsoPacketDescriptor,
    OpStatus,
    RepImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
    build,
)
from tests.unit.wire.pair import DEVICE, DEVID, events, feed
from tests.unit.wire.vectors import SERVER, words

BULK_IN = CmdSubmit(5, DEVID, Direction.IN, 1, 0, 65536)
BULK_OUT = CmdSubmit(6, DEVID, Direction.OUT, 1, 0, 3, data=b"abc")
PACKETS = (IsoPacketDescriptor(0, 8), IsoPacketDescriptor(8, 8))
ISO_IN = CmdSubmit(7, DEVID, Direction.IN, 2, 2, 16, number_of_packets=2, iso_packets=PACKETS)
ISO_OUT = ISO_IN._replace(seqnum=8, direction=Direction.OUT, data=bytes(16))
ECONNRESET = -104


@pytest.fixture
def client() -> ClientConnection:
    client = ClientConnection.after_import(DEVID)
    for submit in (BULK_IN, BULK_OUT, ISO_IN, ISO_OUT):
        client.send(submit)
    return client


def ret_header(
    seqnum: int, actual_length: int, number_of_packets: int = 0, status: int = 0
) -> bytes:
    return words(3, seqnum, 0, 0, 0, status, actual_length, 0, number_of_packets, 0, 0, 0)


@pytest.mark.parametrize(("message", "raw"), SERVER[5:])
def test_vectors(message: ServerMessage, raw: bytes) -> None:
    client = ClientConnection.after_import(DEVID)
    for seqnum in (5, 6):
        client.send(CmdSubmit(seqnum, DEVID, Direction.IN, 1, 0, 3))
    client.send(ISO_IN)
    client.send(CmdUnlink(9, DEVID, 5))
    assert feed(client, [raw]) == [message]


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (ret_header(4, 0), "RET_SUBMIT.seqnum is 4, but no such CMD_SUBMIT is pending"),
        (
            ret_header(5, 70000),
            "RET_SUBMIT.actual_length is 70000, but the URB asked for 65536",
        ),
        (ret_header(5, -1), "RET_SUBMIT.actual_length is -1, which is negative"),
        (ret_header(6, 4), "RET_SUBMIT.actual_length is 4, but the URB asked for 3"),
        (ret_header(5, 0, 1), "RET_SUBMIT.number_of_packets is 1, but the URB has 0"),
        (ret_header(5, 0, -2), "RET_SUBMIT.number_of_packets is -2, but the URB has 0"),
        (ret_header(7, 0, 0), "RET_SUBMIT.number_of_packets is 0, but the URB has 2"),
        (ret_header(7, 0, 3), "RET_SUBMIT.number_of_packets is 3, but the URB has 2"),
        (ret_header(7, 0, -1), "RET_SUBMIT.number_of_packets is -1, but the URB has 2"),
        (
            ret_header(7, 3, 2) + b"abc" + words(0, 8, 1, 0, 8, 8, 1, 0),
            "RET_SUBMIT.iso_packets have actual_length 2 in sum, but .* is 3",
        ),
        (
            ret_header(7, 3, 2) + b"abc" + words(0, 8, 1, 0, 15, 8, 2, 0),
            r"RET_SUBMIT.iso_packets\[1\] ends at offset\+actual_length 17, .* asked for 16",
        ),
        (words(4, 9) + bytes(40), "RET_UNLINK.seqnum is 9, but no such CMD_UNLINK is pending"),
        (words(1, 5) + bytes(40), r"command is 0x1, must be 3 \(RET_SUBMIT\) or 4 \(RET_UNLINK\)"),
        (words(0x0111_0003) + bytes(44), "command is 0x1110003"),
    ],
)
def test_bad_replies(client: ClientConnection, raw: bytes, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        feed(client, [raw])


def test_a_length_is_judged_before_the_data_comes(client: ClientConnection) -> None:
    """The header alone suffices: nothing waits for two gigabytes."""
    with pytest.raises(RemoteProtocolError):
        feed(client, [ret_header(5, 0x7FFF_FFFF)])


def test_out_carries_a_length_but_no_data(client: ClientConnection) -> None:
    raw = ret_header(6, 3) + ret_header(5, 0)
    assert feed(client, [raw]) == [RetSubmit(6, 0, 3), RetSubmit(5, 0, 0)]


def test_iso_out_carries_descriptors_but_no_data(client: ClientConnection) -> None:
    raw = ret_header(8, 16, 2) + words(0, 8, 8, 0, 8, 8, 8, 0) + ret_header(6, 0)
    done = tuple(packet._replace(actual_length=8) for packet in PACKETS)
    assert feed(client, [raw]) == [
        RetSubmit(8, 0, 16, 0, 2, iso_packets=done),
        RetSubmit(6, 0, 0),
    ]


def test_iso_in_without_any_data(client: ClientConnection) -> None:
    raw = ret_header(7, 0, 2, -18) + words(0, 8, 0, -18, 8, 8, 0, -18)
    done = tuple(packet._replace(status=-18) for packet in PACKETS)
    assert feed(client, [raw]) == [RetSubmit(7, -18, 0, 0, 2, iso_packets=done)]


@pytest.mark.parametrize("sent", [0, NOT_ISOCHRONOUS])
@pytest.mark.parametrize("received", [0, NOT_ISOCHRONOUS])
def test_both_ways_to_say_not_isochronous(sent: int, received: int) -> None:
    client = ClientConnection.after_import(DEVID)
    client.send(BULK_IN._replace(number_of_packets=sent))
    assert feed(client, [ret_header(5, 0, received)]) == [
        RetSubmit(5, 0, 0, number_of_packets=received)
    ]


def test_data_comes_with_errors_too(client: ClientConnection) -> None:
    raw = ret_header(5, 2, 0, -75) + b"ab"
    assert feed(client, [raw]) == [RetSubmit(5, -75, 2, data=b"ab")]


def test_what_other_servers_fill_in_is_ignored(client: ClientConnection) -> None:
    raw = struct.pack(">5I28x", 3, 5, DEVID, 1, 1)
    assert feed(client, [raw]) == [RetSubmit(5, 0, 0)]


def test_answers_come_in_any_order(client: ClientConnection) -> None:
    assert client.pending == 4
    raw = ret_header(6, 0) + ret_header(5, 1) + b"x"
    assert feed(client, [raw]) == [RetSubmit(6, 0, 0), RetSubmit(5, 0, 1, data=b"x")]
    assert client.pending == 2


def test_a_submit_is_answered_once(client: ClientConnection) -> None:
    with pytest.raises(RemoteProtocolError, match=r"RET_SUBMIT\.seqnum is 6"):
        feed(client, [ret_header(6, 0), ret_header(6, 0)])


def test_pending_until_the_data_is_here(client: ClientConnection) -> None:
    feed(client, [ret_header(5, 2), b"a"])
    assert client.pending == 4
    feed(client, [b"b"])
    assert client.pending == 3


class TestUnlink:
    """What an answer to CMD_UNLINK says about the submit, in every order of the two answers."""

    def test_gone(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        assert feed(client, [build(RetUnlink(9, ECONNRESET))]) == [RetUnlink(9, ECONNRESET)]
        assert (client.pending, client.pending_unlinks, client.tombstones) == (3, 0, 0)

    def test_gone_and_yet_answered(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        with pytest.raises(RemoteProtocolError, match=r"RET_SUBMIT\.seqnum is 5"):
            feed(client, [build(RetUnlink(9, ECONNRESET)), ret_header(5, 0)])

    def test_answered_before(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        raw = ret_header(5, 2) + b"ab" + build(RetUnlink(9, 0))
        assert feed(client, [raw]) == [RetSubmit(5, 0, 2, data=b"ab"), RetUnlink(9, 0)]
        assert (client.pending, client.pending_unlinks, client.tombstones) == (3, 0, 0)

    def test_answered_after(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        assert feed(client, [build(RetUnlink(9, 0))]) == [RetUnlink(9, 0)]
        assert (client.pending, client.tombstones) == (3, 1)
        raw = ret_header(5, 2) + b"ab"
        assert feed(client, [raw]) == [RetSubmit(5, 0, 2, data=b"ab")]
        assert (client.pending, client.tombstones) == (3, 0)

    def test_answered_twice_after(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        with pytest.raises(RemoteProtocolError, match=r"RET_SUBMIT\.seqnum is 5"):
            feed(client, [build(RetUnlink(9, 0)), ret_header(5, 0), ret_header(5, 0)])

    def test_answered_late_with_too_much(self, client: ClientConnection) -> None:
        """A tombstone remembers what was asked for."""
        client.send(CmdUnlink(9, DEVID, 6))
        with pytest.raises(RemoteProtocolError, match="is 4, but the URB asked for 3"):
            feed(client, [build(RetUnlink(9, 0)), ret_header(6, 4)])

    def test_lost(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        feed(client, [build(RetUnlink(9, 0)), ret_header(6, 0)])
        assert (client.pending, client.tombstones) == (2, 1)

    def test_while_the_answer_is_being_received(self, client: ClientConnection) -> None:
        feed(client, [ret_header(5, 2), b"a"])
        client.send(CmdUnlink(9, DEVID, 5))
        raw = b"b" + build(RetUnlink(9, 0))
        assert feed(client, [raw]) == [RetSubmit(5, 0, 2, data=b"ab"), RetUnlink(9, 0)]
        assert client.tombstones == 0

    def test_after_the_answer(self, client: ClientConnection) -> None:
        feed(client, [ret_header(5, 0)])
        client.send(CmdUnlink(9, DEVID, 5))
        assert feed(client, [build(RetUnlink(9, 0))]) == [RetUnlink(9, 0)]
        assert client.tombstones == 0

    def test_answered_out_of_turn(self, client: ClientConnection) -> None:
        client.send(CmdUnlink(9, DEVID, 5))
        client.send(CmdUnlink(10, DEVID, 6))
        raw = build(RetUnlink(10, ECONNRESET)) + build(RetUnlink(9, 0))
        assert feed(client, [raw]) == [RetUnlink(10, ECONNRESET), RetUnlink(9, 0)]
        assert (client.pending, client.tombstones) == (2, 1)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (BULK_IN, "CMD_SUBMIT.seqnum is 5, which is still in use"),
        (CmdUnlink(5, DEVID, 6), "CMD_UNLINK.seqnum is 5, which is still in use"),
        (BULK_IN._replace(seqnum=20, devid=1), "CMD_SUBMIT.devid is 1, but 65543 was imported"),
        (CmdUnlink(20, 1, 5), "CMD_UNLINK.devid is 1, but 65543 was imported"),
        (
            BULK_IN._replace(seqnum=20, transfer_buffer_length=1 << 25),
            "CMD_SUBMIT.transfer_buffer_length is 33554432, at most 16777216",
        ),
        (RepImport(OpStatus.OK, DEVICE), "a client does not send OP_REP_IMPORT"),
        (RetSubmit(5, 0, 0), "a client does not send RET_SUBMIT"),
    ],
)
def test_what_is_not_sent(client: ClientConnection, message: Any, complaint: str) -> None:
    before = client.pending, client.pending_unlinks
    with pytest.raises(LocalProtocolError, match=complaint):
        client.send(message)
    assert (client.pending, client.pending_unlinks) == before
    assert events(client) == []


def test_data_is_bytes_and_parts_are_not_joined() -> None:
    client = ClientConnection.after_import(DEVID)
    data = bytes(4096)
    submit = CmdSubmit(1, DEVID, Direction.OUT, 1, 0, 4096, data=data)
    header, payload = client.send_parts(submit)
    assert len(header) == 48
    assert payload is data


def test_max_transfer_bytes_is_the_callers_choice() -> None:
    client = ClientConnection.after_import(DEVID, max_transfer_bytes=63)
    with pytest.raises(LocalProtocolError, match="at most 63 are allowed here"):
        client.send(CmdSubmit(1, DEVID, Direction.IN, 1, 0, 64))
