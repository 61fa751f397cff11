"""What holds for every message, every cut of the stream, and every hostile byte."""

from contextlib import suppress
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.errors import RemoteProtocolError
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Direction,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    ServerMessage,
    build,
    build_parts,
)
from tests.unit.wire.pair import DEVID, feed
from tests.unit.wire.strategies import (
    answers,
    cuts,
    rep_devlists,
    rep_imports,
    requests,
    urb_requests,
)

MAX = 4096
# One message of MAX bytes and 1024 descriptors, and a header.
MOST_BUFFERED = MAX + 1024 * 16 + 48


def give(connection: ClientConnection | ServerConnection, pieces: list[bytes]) -> None:
    """Feed hostile pieces: only one error may come out, and not much may be kept."""
    largest = max(map(len, pieces), default=0)
    with suppress(RemoteProtocolError):
        for piece in pieces:
            connection.receive_data(piece)
            while (event := connection.next_event()) is not NEED_DATA:
                assert not isinstance(event, ConnectionClosed)
            assert connection.buffered <= MOST_BUFFERED + largest
        connection.receive_eof()
        while not isinstance(event := connection.next_event(), ConnectionClosed):
            assert event is not NEED_DATA


@given(st.data(), requests)
@settings(max_examples=50)
def test_requests(data: st.DataObject, message: ReqDevlist | ReqImport) -> None:
    stream = build(message)
    assert feed(ServerConnection(), data.draw(cuts(stream))) == [message]


@given(st.data(), rep_devlists)
@settings(max_examples=50)
def test_rep_devlist(data: st.DataObject, message: RepDevlist) -> None:
    client = ClientConnection()
    client.send(ReqDevlist())
    assert feed(client, data.draw(cuts(build(message)))) == [message]


@given(st.data(), rep_imports)
@settings(max_examples=50)
def test_rep_import(data: st.DataObject, message: RepImport) -> None:
    client = ClientConnection()
    client.send(ReqImport(message.device.busid if message.device else "1-1"))
    assert feed(client, data.draw(cuts(build(message)))) == [message]


@given(st.data(), urb_requests(DEVID))
@settings(max_examples=100)
def test_urb_requests(data: st.DataObject, messages: list[ClientMessage]) -> None:
    client = ClientConnection.after_import(DEVID)
    stream = b"".join(client.send(message) for message in messages)
    assert stream == b"".join(b"".join(build_parts(message)) for message in messages)
    server = ServerConnection.after_import(DEVID)
    assert feed(server, data.draw(cuts(stream))) == messages
    assert server.pending == client.pending


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[ClientMessage], list[ServerMessage]]:
    """What a client asks, and all answers in an order that the protocol allows."""
    asked = draw(urb_requests(DEVID))
    submits = {message.seqnum: message for message in asked if isinstance(message, CmdSubmit)}
    answered: list[ServerMessage] = []
    for message in draw(st.permutations(asked)):
        if isinstance(message, CmdSubmit):
            if message.seqnum in submits:
                answered.append(draw(answers(message)))
                del submits[message.seqnum]
        elif isinstance(message, CmdUnlink):
            gone = message.unlink_seqnum in submits and draw(st.booleans())
            if gone:
                del submits[message.unlink_seqnum]
            answered.append(RetUnlink(message.seqnum, -104 if gone else 0))
    return asked, answered


@given(st.data(), conversations())
@settings(max_examples=100)
def test_urb_answers(
    data: st.DataObject, conversation: tuple[list[ClientMessage], list[ServerMessage]]
) -> None:
    asked, answered = conversation
    client = ClientConnection.after_import(DEVID)
    server = ServerConnection.after_import(DEVID)
    feed(server, [client.send(message) for message in asked])
    stream = b"".join(server.send(message) for message in answered)
    assert feed(client, data.draw(cuts(stream))) == answered
    for connection in (client, server):
        assert (connection.pending, connection.pending_unlinks) == (0, 0)
        assert connection.tombstones == 0


@st.composite
def hostile(draw: st.DrawFn, valid: bytes) -> list[bytes]:
    """Noise, or a valid stream with some bytes changed, missing or doubled; cut anywhere."""
    if draw(st.integers(0, 4)) == 0:
        return draw(cuts(draw(st.binary(max_size=400))))
    stream = bytearray(valid)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(stream)))
        match draw(st.sampled_from(["byte", "word", "cut", "double"])):
            case "byte":
                stream[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "word":  # whole fields are 4 bytes apart, and these values are the nasty ones
                nasty = draw(st.sampled_from([0, 1, 3, 4, 1024, 4096, 2**31 - 1, 2**31, 2**32 - 1]))
                stream[at & ~3 : (at & ~3) + 4] = nasty.to_bytes(4, "big")
            case "cut":
                del stream[at : at + draw(st.integers(1, 60))]
            case "double":
                stream[at:at] = stream[at : at + draw(st.integers(1, 60))]
    return draw(cuts(bytes(stream)))


@given(st.data(), requests, urb_requests(DEVID), st.booleans())
@settings(max_examples=150)
def test_hostile_client(
    data: st.DataObject,
    request_made: ReqDevlist | ReqImport,
    urbs: list[ClientMessage],
    is_imported: bool,
) -> None:
    if is_imported:
        server = ServerConnection.after_import(DEVID, max_transfer_bytes=MAX)
        give(server, data.draw(hostile(b"".join(map(build, urbs)))))
    else:
        give(ServerConnection(), data.draw(hostile(build(request_made))))


@given(st.data(), st.one_of(rep_devlists, rep_imports))
@settings(max_examples=100)
def test_hostile_reply(data: st.DataObject, reply: RepDevlist | RepImport) -> None:
    client = ClientConnection()
    if isinstance(reply, RepDevlist):
        client.send(ReqDevlist())
    else:
        client.send(ReqImport(reply.device.busid if reply.device else "1-1"))
    give(client, data.draw(hostile(build(reply))))


@given(st.data(), conversations())
@settings(max_examples=150)
def test_hostile_server(
    data: st.DataObject, conversation: tuple[list[ClientMessage], list[ServerMessage]]
) -> None:
    asked, answered = conversation
    client = ClientConnection.after_import(DEVID, max_transfer_bytes=MAX)
    for message in asked:
        client.send(message)
    give(client, data.draw(hostile(b"".join(map(build, answered)))))


def test_a_large_payload_in_small_pieces_is_not_quadratic() -> None:
    """4 MiB in pieces of 256 bytes: 16384 steps that must not each touch what is there."""
    size = 4 << 20
    client = ClientConnection.after_import(DEVID)
    client.send(CmdSubmit(1, DEVID, Direction.IN, 1, 0, size))
    payload = bytes(range(256)) * (size // 256)
    stream = build(RetSubmit(1, 0, size, data=payload))
    pieces = [stream[a:b] for a, b in pairwise(range(0, len(stream) + 256, 256))]
    assert feed(client, pieces) == [RetSubmit(1, 0, size, data=payload)]
