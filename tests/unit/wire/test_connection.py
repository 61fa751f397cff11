"""What both ends have in common: cutting, ending, breaking, and asking for no more than is due."""

import pytest

from gadgetip.errors import LocalProtocolError, RemoteProtocolError
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Direction,
    OpStatus,
    Phase,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerConnection,
    ServerMessage,
    build,
)
from tests.unit.wire.pair import DEVICE, DEVID, ConnectionPair, events, feed
from tests.unit.wire.vectors import LISTED, words

SUBMIT = CmdSubmit(1, DEVID, Direction.IN, 1, 0, 64)


def test_need_data_says_its_name() -> None:
    assert repr(NEED_DATA) == "NEED_DATA"
    assert ClientConnection().next_event() is NEED_DATA


def test_a_list() -> None:
    pair = ConnectionPair()
    phases = [pair.client.phase]
    pair.to_server(ReqDevlist())
    phases.append(pair.client.phase)
    pair.to_client(RepDevlist(OpStatus.OK, (LISTED,)))
    phases.append(pair.client.phase)
    assert phases == [Phase.IDLE, Phase.DEVLIST, Phase.DONE]


def test_a_refused_import() -> None:
    pair = ConnectionPair()
    pair.to_server(ReqImport("1-2"))
    pair.to_client(RepImport(OpStatus.DEV_BUSY))
    assert pair.client.phase is Phase.DONE


def test_an_import_and_a_transfer() -> None:
    pair = ConnectionPair.imported()
    assert pair.client.phase is Phase.URB
    assert pair.client.devid == pair.server.devid == DEVID
    pair.to_server(SUBMIT)
    assert pair.client.pending == 1
    pair.to_client(RetSubmit(1, 0, 3, data=b"abc"))
    assert pair.client.pending == 0


@pytest.mark.parametrize("message", [ReqDevlist(), ReqImport("1-2")])
def test_one_request_only(message: ReqDevlist | ReqImport) -> None:
    client = ClientConnection()
    client.send(ReqImport("1-2"))
    with pytest.raises(LocalProtocolError, match="not allowed between OP_REQ_IMPORT and its reply"):
        client.send(message)


@pytest.mark.parametrize("message", [SUBMIT, CmdUnlink(2, DEVID, 1)])
def test_no_urbs_before_the_import_was_granted(message: CmdSubmit | CmdUnlink) -> None:
    client = ClientConnection()
    with pytest.raises(LocalProtocolError, match=r"CMD_\w+ is not allowed before the request"):
        client.send(message)
    client.send(ReqImport("1-2"))
    with pytest.raises(LocalProtocolError, match=r"CMD_\w+ is not allowed between"):
        client.send(message)


@pytest.mark.parametrize("message", [RetSubmit(1, 0, 0), RetUnlink(1, 0), RepDevlist(OpStatus.OK)])
def test_a_server_answers_what_was_asked(message: ServerMessage) -> None:
    server = ServerConnection()
    feed(server, [build(ReqImport("1-2"))])
    with pytest.raises(LocalProtocolError, match="is not allowed between OP_REQ_IMPORT"):
        server.send(message)


def test_the_end_between_messages() -> None:
    pair = ConnectionPair.imported()
    for connection in (pair.client, pair.server):
        connection.receive_eof()
        assert connection.next_event() == ConnectionClosed()
        assert connection.next_event() == ConnectionClosed()
        assert connection.phase is Phase.CLOSED
    with pytest.raises(LocalProtocolError, match="not allowed after the end of the stream"):
        pair.client.send(SUBMIT)


def test_the_end_instead_of_a_reply() -> None:
    client = ClientConnection()
    client.send(ReqDevlist())
    client.receive_eof()
    assert client.next_event() == ConnectionClosed()


def test_messages_before_the_end_are_delivered() -> None:
    server = ServerConnection()
    server.receive_data(build(ReqDevlist()))
    server.receive_eof()
    assert events(server) == [ReqDevlist(), ConnectionClosed()]


def test_nothing_comes_after_the_end() -> None:
    client = ClientConnection()
    client.receive_eof()
    with pytest.raises(LocalProtocolError, match="after the end of the stream"):
        client.receive_data(b"x")


@pytest.mark.parametrize(
    ("request_made", "raw", "inside"),
    [
        (ReqDevlist(), bytes(3), "the header of OP_REP_DEVLIST: 3 of 8 bytes"),
        (ReqDevlist(), build(RepDevlist(OpStatus.OK))[:8], "OP_REP_DEVLIST.ndev: 0 of 4 bytes"),
        (
            ReqDevlist(),
            build(RepDevlist(OpStatus.OK, (LISTED,)))[:-1],
            r"OP_REP_DEVLIST.devices\[0\].interfaces: 7 of 8",
        ),
        (
            ReqImport("1-2"),
            build(RepImport(OpStatus.OK, DEVICE))[:8],
            "OP_REP_IMPORT.device: 0 of 312 bytes",
        ),
    ],
)
def test_the_end_inside_a_reply(
    request_made: ReqDevlist | ReqImport, raw: bytes, inside: str
) -> None:
    client = ClientConnection()
    client.send(request_made)
    client.receive_data(raw)
    client.receive_eof()
    with pytest.raises(RemoteProtocolError, match=f"the stream ended inside {inside}"):
        client.next_event()


def test_the_end_inside_a_urb_message() -> None:
    submit = CmdSubmit(7, DEVID, Direction.OUT, 1, 0, 100, data=bytes(100))
    for size, inside in (
        (1, "the header of a URB message: 1 of 48 bytes"),
        (47, "the header of a URB message: 47 of 48 bytes"),
        (48, r"CMD_SUBMIT \(seqnum 7\): 0 of 100 bytes"),
        (147, r"CMD_SUBMIT \(seqnum 7\): 99 of 100 bytes"),
    ):
        server = ServerConnection.after_import(DEVID)
        server.receive_data(build(submit)[:size])
        server.receive_eof()
        with pytest.raises(RemoteProtocolError, match=f"the stream ended inside {inside}"):
            server.next_event()
    client = ClientConnection.after_import(DEVID)
    client.send(SUBMIT)
    client.receive_data(build(RetSubmit(1, 0, 3, data=b"abc"))[:-1])
    assert client.next_event() is NEED_DATA
    client.receive_eof()
    with pytest.raises(RemoteProtocolError, match=r"inside RET_SUBMIT \(seqnum 1\): 2 of 3 bytes"):
        client.next_event()


def test_an_error_is_final() -> None:
    client = ClientConnection.after_import(DEVID)
    client.receive_data(words(9) + bytes(44) + build(RetUnlink(1, 0)))
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match=r"command is 0x9, must be 3 \(RET_SUBMIT\)"):
            client.next_event()
        client.receive_data(bytes(1000))
        assert client.buffered == 0
    assert client.phase is Phase.ERROR
    with pytest.raises(LocalProtocolError, match="not allowed after a protocol error"):
        client.send(SUBMIT)


def test_a_server_that_speaks_first() -> None:
    client = ClientConnection()
    client.receive_data(b"SSH-2.0")
    with pytest.raises(RemoteProtocolError, match="7 bytes came that nobody asked for, before"):
        client.next_event()


def test_a_client_that_does_not_await_the_reply_to_an_import() -> None:
    server = ServerConnection()
    server.receive_data(build(ReqImport("1-2")) + build(SUBMIT))
    assert events(server) == [ReqImport("1-2")]
    server.send(RepImport(OpStatus.OK, DEVICE))
    assert events(server) == [SUBMIT]


def test_a_client_that_speaks_too_early_for_too_long() -> None:
    server = ServerConnection()
    server.receive_data(build(ReqImport("1-2")))
    with pytest.raises(RemoteProtocolError, match="bytes came that nobody asked for, between OP_"):
        feed(server, [bytes(100)] * 100)


def test_a_client_that_goes_before_the_reply() -> None:
    server = ServerConnection()
    server.receive_data(build(ReqImport("1-2")) + b"x")
    server.receive_eof()
    assert events(server) == [ReqImport("1-2"), ConnectionClosed()]


def test_who_reads_what_is_wanted_takes_nothing_of_the_next_message() -> None:
    client = ClientConnection()
    client.send(ReqImport("1-2"))
    reply = build(RepImport(OpStatus.OK, DEVICE))
    stream = reply + bytes(100)
    steps = []
    while client.next_event() is NEED_DATA:
        steps.append(client.wanted)
        client.receive_data(stream[: client.wanted])
        stream = stream[steps[-1] :]
    assert steps == [8, 312]
    assert stream == bytes(100)
    assert client.buffered == 0
    assert client.wanted == 48


def test_who_reads_what_is_wanted_gets_payloads_uncopied() -> None:
    client = ClientConnection.after_import(DEVID)
    client.send(CmdSubmit(1, DEVID, Direction.IN, 1, 0, 65536))
    payload = bytes(65536)
    client.receive_data(build(RetSubmit(1, 0, 65536, data=payload))[:48])
    assert client.next_event() is NEED_DATA
    assert client.wanted == 65536
    client.receive_data(payload)
    message = client.next_event()
    assert isinstance(message, RetSubmit)
    assert message.data is payload
    assert client.wanted == 48


def test_what_was_read_too_far_can_be_had_back() -> None:
    client = ClientConnection()
    client.send(ReqImport("1-2"))
    client.receive_data(build(RepImport(OpStatus.OK, DEVICE)) + b"next")
    assert client.next_event() == RepImport(OpStatus.OK, DEVICE)
    assert client.buffered == 4
    assert client.take_trailing_data() == b"next"
    assert client.buffered == 0
