"""The mistakes of people who edit a file by hand, each in one plain sentence."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.strict_toml import FileError, decode_document
from gadgetip.strict_toml.plain_words import BARE, CURLY, MISSING, NOTHING, UTF_16, plain_words
from gadgetip.supervisor.config_form import IMAGE_CONFIG_KIND, parse_config


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("server = “nas.lan”", CURLY),
        ("server = „nas.lan“  # it's here", CURLY),
        ('server = "nas.lan”', CURLY),
        ('server = "nas.lan', MISSING),
        ('server = nas.lan"', MISSING),
        ('match = { id = "0781:5581 }', MISSING),
        ("server = 'nas.lan", MISSING),
        ("server = nas.lan", BARE),
        ("server = 192.168.1.5   # don't ask", BARE),
        ("match = { id = 0781:5581 }", BARE),
        ("hostname = my dongle", BARE),
        ("hostname =", NOTHING),
        ("hostname = # its name", NOTHING),
    ],
)
def test_a_line(line: str, words: str) -> None:
    assert plain_words(line) == words
    with pytest.raises(FileError) as caught:
        parse_config(f'schema = "config/1"\n{line}\n[board]\n', "f", image=True)
    assert str(caught.value) == f"f:2: {words}"


@pytest.mark.parametrize(
    "line",
    [
        "[board",
        'hostname "dongle"',
        'hostname = "x" # “curly” and \'odd',
        'hostname = "“curly”" x',
        'ssh_keys = ["a", "b"',
        "enabled = true, false",
        'poll_ms = 100 # "',
    ],
)
def test_nothing_of_this(line: str) -> None:
    assert plain_words(line) is None


TEXT = 'schema = "config/1"\n'


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
)
def test_as_notepad_may_save_it(data: bytes) -> None:
    with pytest.raises(FileError) as caught:
        decode_document(data, "f", IMAGE_CONFIG_KIND)
    assert str(caught.value) == f"f:1: {UTF_16}"
    decode_document(codecs.BOM_UTF8 + TEXT.encode(), "f", IMAGE_CONFIG_KIND)


def test_a_text_that_the_parser_reads_past() -> None:
    with pytest.raises(FileError) as caught:
        parse_config('schema = "config/1"\n[board]\nhostname = \'x\n\n[y]\n', "f", image=True)
    assert str(caught.value) == f"f:3: {MISSING}"


@given(st.text(max_size=80))
def test_any_line(line: str) -> None:
    assert plain_words(line) in {None, CURLY, MISSING, BARE, NOTHING}


def test_a_line_that_nobody_wrote() -> None:
    assert plain_words('x = "' + '\\"' * 100_000) is None
