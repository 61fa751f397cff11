"""Entries as the journal reads them, at a socket that stands in for its own."""

import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.service.journal import (
    MAX_VALUE_BYTES,
    Journal,
    JournalHandler,
    PrefixFormatter,
    build_entry,
    is_the_journal,
    journal_handler,
    priority_of,
)


def read_entry(data: bytes) -> dict[str, str]:
    """As journald does (src/journal/journald-native.c)."""
    fields = {}
    while data:
        line, newline, rest = data.partition(b"\n")
        assert newline
        if b"=" in line:
            name, _, value = line.partition(b"=")
            data = rest
        else:
            name = line
            (length,) = struct.unpack_from("<Q", rest)
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
            assert rest[8 + length : 8 + length + 1] == b"\n"
        fields[name.decode()] = value.decode("utf-8", "replace")
    return fields


NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"))))
def test_what_was_sent_is_read(fields: dict[str, str]) -> None:
    assert read_entry(build_entry(fields)) == fields


@given(st.text(), st.text())
def test_no_value_makes_a_field(name: str, value: str) -> None:
    entry = read_entry(build_entry({"MESSAGE": value, name: value}))
    assert set(entry) <= {"MESSAGE", name}


def test_endless_values_are_cut() -> None:
    assert len(build_entry({"MESSAGE": "x" * 10**6})) < MAX_VALUE_BYTES + 100


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, 3),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.DEBUG, 7),
    ],
)
def test_priorities(level: int, priority: int) -> None:
    assert priority_of(level) == priority


def test_journal_stream_names_the_file(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as file, (tmp_path / "y").open("w") as other:
        status = os.fstat(file.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_the_journal(file, environment)
        assert not is_the_journal(other, environment)
        assert not is_the_journal(file, {})
        assert journal_handler(file) is None
    assert not is_the_journal(file, environment)


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
        stream.bind(str(tmp_path / "socket"))
        stream.settimeout(5)
        yield stream


def record(level: int, text: str, **fields: str) -> logging.LogRecord:
    made = logging.LogRecord("gadgetip.x", level, "/x.py", 7, text, (), None)
    vars(made).update(fields)
    return made


def test_records_have_fields(journald: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(Journal(str(tmp_path / "socket")), logging.NullHandler())
    handler.handle(record(logging.WARNING, "two\nlines", gadgetip_name="stick"))
    assert read_entry(journald.recv(65536)) == {
        "MESSAGE": "two\nlines",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "gadgetip",
        "LOGGER": "gadgetip.x",
        "CODE_FILE": "/x.py",
        "CODE_LINE": "7",
        "GADGETIP_NAME": "stick",
    }


def test_what_the_journal_does_not_take_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    otherwise = logging.StreamHandler()
    otherwise.setFormatter(PrefixFormatter("%(message)s"))
    handler = JournalHandler(Journal(str(tmp_path / "nobody")), otherwise)
    handler.handle(record(logging.ERROR, "two\nlines"))
    assert capsys.readouterr().err == "<3>two\n<3>lines\n"


def test_a_journal_that_was_started_anew(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    journal = Journal(str(path))
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
            stream.bind(str(path))
            assert journal.send("a", GADGETIP_NAME="b")
            assert read_entry(stream.recv(65536))["GADGETIP_NAME"] == "b"
        assert not journal.send("lost")
        path.unlink()
    journal.close()
