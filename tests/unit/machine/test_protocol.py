"""The lines between the two sides of the agent's port."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.machine.protocol import Decoder, Message, encode, pack, unpack

TEXT = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.integers()))


@given(messages=st.lists(TEXT), size=st.integers(1, 20))
def test_messages_survive_any_cutting(messages: list[Message], size: int) -> None:
    stream = b"".join(encode(message) for message in messages)
    decoder = Decoder()
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [message for piece in pieces for message in decoder.feed(piece)] == messages


@given(st.binary())
def test_bytes_survive(data: bytes) -> None:
    assert unpack(pack(data)) == data


def test_what_a_vanished_client_left_is_dropped() -> None:
    decoder = Decoder()
    decoder.feed(b'{"do":"exec","argv":["sl')
    assert decoder.feed(b"\n" + encode({"do": "hello"})) == [{"do": "hello"}]


def test_what_is_no_object_or_no_text_is_dropped() -> None:
    assert Decoder().feed(b'[1]\n7\n\xff\xfe\n{"is":"pong"}\n') == [{"is": "pong"}]
