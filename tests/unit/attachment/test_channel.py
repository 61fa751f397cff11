import json
import os
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.attachment import channel as channel_module
from gadgetip.attachment.channel import (
    Channel,
    Message,
    MessageError,
    Word,
    channel,
    parse_message,
)
from tests.unit.pump.stub import tcp_pair


@pytest.fixture
def ends() -> tuple[Channel, Channel]:
    return channel()


@given(st.sampled_from(Word), st.text(max_size=300))
def test_what_is_said_is_heard(word: Word, text: str) -> None:
    keeper, worker = channel()
    worker.send(word, text)
    assert keeper.receive() == Message(word, text)
    keeper.close()
    worker.close()


def test_messages_keep_their_order_and_their_borders(ends: tuple[Channel, Channel]) -> None:
    keeper, worker = ends
    for n in range(20):
        worker.send(Word.NOTICE, str(n))
    assert [keeper.receive() for _ in range(20)] == [
        Message(Word.NOTICE, str(n)) for n in range(20)
    ]
    with pytest.raises(BlockingIOError):
        keeper.receive()


@pytest.mark.parametrize("text", ["\x1b[2J\n\0", "\ud800 half", "\U0001f600" * 4096, "x" * 100_000])
def test_any_text_fits(ends: tuple[Channel, Channel], text: str) -> None:
    keeper, worker = ends
    worker.send(Word.NOTICE, text)
    assert keeper.receive() == Message(Word.NOTICE, text[:4096])


def test_the_end_of_the_other_is_heard(ends: tuple[Channel, Channel]) -> None:
    keeper, worker = ends
    worker.send(Word.ENDED, "last words")
    worker.close()
    assert keeper.receive() == Message(Word.ENDED, "last words")
    assert keeper.receive() is None
    keeper.send(Word.STOP)  # nobody is there: no error either


@pytest.mark.parametrize(
    "word", [Word.ENDED, Word.LINK_ENDED, Word.DEVICE_GONE, Word.REPLACED, Word.RESUMED]
)
def test_how_it_ended_is_worth_a_wait(ends: tuple[Channel, Channel], word: Word) -> None:
    keeper, worker = ends
    for _ in range(1000):
        worker.send(Word.NOTICE, "x" * 4096)
    heard: list[Message] = []

    def read() -> None:
        while not heard or heard[-1].word is Word.NOTICE:
            with suppress(BlockingIOError):
                message = keeper.receive()
                assert message is not None
                heard.append(message)
            time.sleep(0.0005)

    reader = threading.Timer(0.05, read)
    reader.start()
    worker.send(word, "why")
    reader.join(5)
    assert heard[-1] == Message(word, "why")


def test_and_not_for_ever(ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "ENDING_LIMIT_S", 0.02)
    _, worker = ends
    for _ in range(1000):
        worker.send(Word.NOTICE, "x" * 4096)
    before = time.monotonic()
    worker.send(Word.ENDED, "why")
    assert 0.01 < time.monotonic() - before < 1


def test_a_reader_that_is_stuck_does_not_stop_the_writer(ends: tuple[Channel, Channel]) -> None:
    keeper, worker = ends
    for _ in range(10_000):
        worker.send(Word.NOTICE, "x" * 4096)
    assert keeper.receive() == Message(Word.NOTICE, "x" * 4096)


def test_a_stream_is_handed_over(ends: tuple[Channel, Channel]) -> None:
    keeper, worker = ends
    ours, theirs = tcp_pair()
    peer = ours.getpeername()
    keeper.send(Word.NOTICE, "before")
    keeper.send_stream(ours, "its devid")
    keeper.send(Word.NOTICE, "behind")
    ours.close()
    assert worker.receive() == Message(Word.NOTICE, "before")
    message = worker.receive()
    assert message == Message(Word.STREAM, "its devid")
    assert message.stream is not None
    assert worker.receive() == Message(Word.NOTICE, "behind")
    with message.stream as stream, theirs:
        assert stream.getpeername() == peer
        assert (stream.family, stream.type) == (socket.AF_INET, socket.SOCK_STREAM)
        stream.send(b"over")
        select.select([theirs], [], [], 5)
        assert theirs.recv(9) == b"over"


def test_a_worker_that_is_gone_loses_it(ends: tuple[Channel, Channel]) -> None:
    keeper, worker = ends
    worker.close()
    ours, theirs = tcp_pair()
    with ours, theirs:
        keeper.send_stream(ours, "its devid")
        assert ours.fileno() >= 0


def test_a_worker_that_is_stuck_loses_it_and_the_keeper_goes_on(
    ends: tuple[Channel, Channel],
) -> None:
    keeper, _ = ends
    ours, theirs = tcp_pair()
    with ours, theirs:
        for _ in range(10_000):
            keeper.send_stream(ours, "x" * 4000)


@given(st.binary(max_size=200))
def test_garbage_is_no_message(data: bytes) -> None:
    """And nothing else happens: who sent it is not to be trusted."""
    with suppress(MessageError):
        word, text = parse_message(data)
        assert isinstance(word, Word)
        assert isinstance(text, str)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(Word),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(_VALUES, _VALUES, st.dictionaries(st.text(), _VALUES, max_size=1))
def test_a_packet_has_a_word_and_a_text_and_no_more(
    word: object, text: object, more: dict[str, object]
) -> None:
    fields = {**more, "word": word, "text": text}
    sound = isinstance(word, str) and word in set(Word) and isinstance(text, str)
    if sound and len(fields) == 2:
        assert parse_message(json.dumps(fields).encode()) == (word, text)
    else:
        with pytest.raises(MessageError):
            parse_message(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "data",
    [b"[" * 60_000, b"{}", b"[]", b'{"word": "host", "text": "%s"}' % (b"x" * 4097), b"\xff"],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(MessageError):
        parse_message(data)


def test_the_keeper_takes_no_files() -> None:
    """Each would stay open in a process that has to last for months."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = Channel(ours)
    file = os.open(os.devnull, os.O_RDONLY)
    with theirs:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            socket.send_fds(theirs, [b'{"word": "host", "text": "x"}'], [file, file])
            message = keeper.receive()
            assert message == Message(Word.HOST, "x")
            assert message.stream is None
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(file)
    keeper.close()
