"""The operation phase: what is refused, by name of the field."""

from collections.abc import Callable

import pytest

from gadgetip.errors import RemoteProtocolError
from gadgetip.wire import (
    ClientConnection,
    ClientMessage,
    ReqDevlist,
    ReqImport,
    ServerConnection,
    ServerMessage,
)
from tests.unit.wire.pair import feed
from tests.unit.wire.vectors import CLIENT, DEVICE_BYTES, SERVER, words

OK_DEVLIST = bytes.fromhex("0111 0005 00000000")
OK_IMPORT = bytes.fromhex("0111 0003 00000000")
REQ_IMPORT = bytes.fromhex("0111 8003 00000000")


def change(raw: bytes, at: int, new: bytes) -> bytes:
    return raw[:at] + new + raw[at + len(new) :]


@pytest.mark.parametrize(("message", "raw"), CLIENT[:3])
def test_request_vectors(message: ClientMessage, raw: bytes) -> None:
    assert feed(ServerConnection(), [raw]) == [message]


@pytest.mark.parametrize(("message", "raw"), SERVER[:5])
def test_reply_vectors(message: ServerMessage, raw: bytes) -> None:
    client = ClientConnection()
    client.send(ReqDevlist() if raw[3] == 5 else ReqImport("1-2"))
    assert feed(client, [raw]) == [message]


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (
            bytes.fromhex("0106 8005 00000000"),
            r"OP_REQ.version is 0x0106, but 0x0111 is wanted \(USB/IP 1.1.1\)",
        ),
        (bytes.fromhex("0111 8002 00000000"), "OP_REQ.code is 0x8002, must be 0x8005"),
        (bytes.fromhex("0111 0005 00000000"), "OP_REQ.code is 0x0005"),
        (bytes.fromhex("0111 8005 00000001"), "OP_REQ_DEVLIST.status is 1, must be 0"),
        (b"GET / HTTP/1.1\r\n", "OP_REQ.version is 0x4745"),
        (REQ_IMPORT + b"x" * 32, "OP_REQ_IMPORT.busid has no terminating NUL in its 32 bytes"),
        (REQ_IMPORT + b"\x1b[2J".ljust(32, b"\0"), r"busid is '\\x1b\[2J': control characters"),
        (REQ_IMPORT + b"\x9b2J".ljust(32, b"\0"), r"busid is '\\udc9b2J': control characters"),
        (REQ_IMPORT + b"\xc2\x9b".ljust(32, b"\0"), r"busid is '\\x9b': control characters"),
    ],
)
def test_bad_requests(raw: bytes, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        feed(ServerConnection(), [raw])


DEVLIST_REPLIES = [
    (bytes.fromhex("0110 0005 00000000"), "OP_REP_DEVLIST.version is 0x0110, but 0x0111"),
    (bytes.fromhex("0111 0003 00000000"), "OP_REP_DEVLIST.code is 0x0003, must be 0x0005"),
    (bytes.fromhex("0111 0005 00000006"), "OP_REP_DEVLIST.status is 6, must be 0 to 5"),
    (OK_DEVLIST + words(1025), "OP_REP_DEVLIST.ndev is 1025, at most 1024"),
    (OK_DEVLIST + words(-1), "OP_REP_DEVLIST.ndev is 4294967295"),
    (
        OK_DEVLIST + words(1) + change(DEVICE_BYTES, 0, b"x" * 256) + bytes(8),
        r"OP_REP_DEVLIST.devices\[0\].path has no terminating NUL in its 256 bytes",
    ),
    (
        OK_DEVLIST + words(1) + change(DEVICE_BYTES, 258, b"\n") + bytes(8),
        r"OP_REP_DEVLIST.devices\[0\].busid is '1-\\n': control",
    ),
    (OK_DEVLIST + words(0) + b"x", "1 bytes came that nobody asked for, after the last reply"),
]

IMPORT_REPLIES = [
    (bytes.fromhex("0111 0005 00000000"), "OP_REP_IMPORT.code is 0x0005, must be 0x0003"),
    (OK_IMPORT + change(DEVICE_BYTES, 258, b"3"), "OP_REP_IMPORT.busid is '1-3', but '1-2' was"),
    (OK_IMPORT + change(DEVICE_BYTES, 288, b"\1"), "OP_REP_IMPORT.busnum is 16777217, at most"),
    (OK_IMPORT + change(DEVICE_BYTES, 292, b"\1"), "OP_REP_IMPORT.devnum is 16777223, at most"),
    (
        bytes.fromhex("0111 0003 00000002") + b"xx",
        r"\d bytes came that nobody asked for, after the last",
    ),
]


@pytest.mark.parametrize(
    ("request_made", "raw", "complaint"),
    [
        *((ReqDevlist(), *case) for case in DEVLIST_REPLIES),
        *((ReqImport("1-2"), *case) for case in IMPORT_REPLIES),
    ],
)
@pytest.mark.parametrize("cut", [lambda raw: [raw], lambda raw: [bytes([b]) for b in raw]])
def test_bad_replies(
    request_made: ReqDevlist | ReqImport,
    raw: bytes,
    complaint: str,
    cut: Callable[[bytes], list[bytes]],
) -> None:
    client = ClientConnection()
    client.send(request_made)
    with pytest.raises(RemoteProtocolError, match=complaint):
        feed(client, cut(raw))


def test_a_busid_that_is_not_utf8_survives() -> None:
    raw = REQ_IMPORT + b"\xff-1".ljust(32, b"\0")
    assert feed(ServerConnection(), [raw]) == [ReqImport("\udcff-1")]


def test_what_lies_behind_the_nul_is_ignored() -> None:
    raw = REQ_IMPORT + b"1-2\0\x1b" + b"x" * 27
    assert feed(ServerConnection(), [raw]) == [ReqImport("1-2")]
