import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import LocalProtocolError
from gadgetip.usb import (
    DescriptorError,
    StringTable,
    build_langids,
    build_string_descriptor,
    parse_langids,
    parse_string_descriptor,
    printable,
)


@given(st.lists(st.integers(0, 0xFFFF), max_size=126).map(tuple))
def test_languages_survive(langids: tuple[int, ...]) -> None:
    assert parse_langids(build_langids(langids)) == langids


@given(st.binary(max_size=126).map(lambda half: half * 2))
def test_every_code_unit_survives(payload: bytes) -> None:
    # Lone surrogates included: the bytes are arbitrary.
    data = bytes((2 + len(payload), 3)) + payload
    assert build_string_descriptor(parse_string_descriptor(data)) == data


@given(st.binary(max_size=260))
def test_random_bytes_do_no_harm(data: bytes) -> None:
    for parse in (parse_string_descriptor, parse_langids):
        with contextlib.suppress(DescriptorError):
            parse(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("0203", ""),
        ("0603 4100 4200", "AB"),
        ("0703 4100 4200 43", "AB"),  # an odd length loses the half unit
        ("0403 4100 4200", "A"),  # junk behind the text
        ("ff03 4100", "A"),  # an answer shorter than it claims
        ("0403 00d8", "\ud800"),  # half a pair
        ("0603 3dd8 00de", "😀"),
    ],
)
def test_careless_devices_are_read_as_linux_reads_them(data: str, text: str) -> None:
    assert parse_string_descriptor(bytes.fromhex(data)) == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "string descriptor at byte 0: length 0"),
        ("04", "length 1"),
        ("0404 4100", "bDescriptorType 0x04"),
        ("0003 4100", "bLength 0"),
        ("0103", "bLength 1"),
    ],
)
def test_what_is_no_string_descriptor_is_refused(data: str, message: str) -> None:
    with pytest.raises(DescriptorError, match=message):
        parse_string_descriptor(bytes.fromhex(data))


def test_the_longest_string() -> None:
    assert len(build_string_descriptor("x" * 126)) == 254
    with pytest.raises(LocalProtocolError, match="127 UTF-16 code units"):
        build_string_descriptor("x" * 127)
    with pytest.raises(LocalProtocolError, match="128 UTF-16 code units"):
        build_string_descriptor("😀" * 64)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ultra Fit", "Ultra Fit"),
        ("Gerät 键盘", "Gerät 键盘"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("one\r\ntwo", r"one\r\ntwo"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u202egnp", r"\u202egnp"),
        ("\ud800", r"\ud800"),
        (r"\x1b", r"\\x1b"),
        ("\u2028", r"\u2028"),
    ],
)
def test_hostile_text_is_shown_harmlessly(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_printable_text_is_printable_and_unambiguous(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")  # no surrogate is left
    if text.isascii():
        assert shown.encode().decode("unicode_escape") == text


def test_the_table_prefers_english_then_the_devices_order() -> None:
    table = StringTable(
        (0x0407, 0x0409), {(1, 0x0407): "Gerät", (1, 0x0409): "Device", (4, 0x0407): "Nur hier"}
    )
    assert table.get(1) == "Device"
    assert table.get(1, 0x0407) == "Gerät"
    assert table.get(4) == "Nur hier"
    assert table.get(4, 0x0409) is None
    assert table.get(9) is None
    assert table.indices == (1, 4)


def test_the_table_is_its_own() -> None:
    texts = {(1, 0x0409): "a"}
    table = StringTable((0x0409,), texts)
    texts[1, 0x0409] = "b"
    assert table.get(1) == "a"
    assert hash(table) == hash(StringTable((0x0409,)))
    assert table != StringTable((0x0409,))
