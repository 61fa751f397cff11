"""What may come over an attachment process's channel."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.supervisor.messages import (
    FIELDS,
    MAX_MESSAGE_BYTES,
    MAX_TEXT_CHARACTERS,
    Message,
    MessageError,
    News,
    Value,
    decode,
    encode,
)

OF_TYPE: dict[type, st.SearchStrategy[Value]] = {
    str: st.text(max_size=30),
    int: st.integers(0, 2**62),
    float: st.floats(0, 1e11),
    bool: st.booleans(),
    type(None): st.none(),
}


@st.composite
def messages(draw: st.DrawFn) -> Message:
    news = draw(st.sampled_from(News))
    fields = {
        name: draw(st.one_of(*(OF_TYPE[each] for each in types)))
        for name, types in FIELDS[news].items()
    }
    return Message(news, fields)


@given(messages())
def test_there_and_back(message: Message) -> None:
    data = encode(message.news, **message.fields)
    assert len(data) <= MAX_MESSAGE_BYTES
    assert decode(data) == message


@pytest.mark.parametrize("news", News)
def test_the_longest_texts_fit(news: News) -> None:
    texts: dict[str, Value] = {
        name: "\U0001f600" * 5000 if str in types else 0 for name, types in FIELDS[news].items()
    }
    for name, types in FIELDS[news].items():
        if types == (bool,):
            texts[name] = True
    data = encode(news, **texts)
    assert len(data) <= MAX_MESSAGE_BYTES
    for value in decode(data).fields.values():
        assert not isinstance(value, str) or len(value) == MAX_TEXT_CHARACTERS


@given(st.binary(max_size=200))
def test_whatever_comes(data: bytes) -> None:
    try:
        decode(data)
    except MessageError:
        pass
    else:
        raise AssertionError("bytes at random are no message")


@given(messages(), st.data())
def test_a_message_that_was_tampered_with(message: Message, data: st.DataObject) -> None:
    fields: dict[str, Any] = {"news": message.news, **message.fields}
    how = data.draw(st.sampled_from(["more", "less", "type", "news"]))
    name = data.draw(st.sampled_from(sorted(FIELDS[message.news])))
    if how == "more":
        fields["more"] = 1
    elif how == "less":
        del fields[name]
    elif how == "type":
        fields[name] = []
    else:
        fields["news"] = data.draw(st.sampled_from([1, None, "x", []]))
    with pytest.raises(MessageError):
        decode(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "data",
    [
        b'{"news": "resumed", "after_s": NaN}',
        b'{"news": "resumed", "after_s": -1.0}',
        b'{"news": "resumed", "after_s": 1e400}',
        b'{"news": "host", "text": "' + b"x" * (MAX_TEXT_CHARACTERS + 1) + b'"}',
        b"[" * 100_000,
        b"[" * 10_000,
        b"[]",
    ],
)
def test_what_is_out_of_bounds(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode(data)
