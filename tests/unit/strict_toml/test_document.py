import os
from pathlib import Path

import pytest

from gadgetip.strict_toml import FileError, FileKind, StrictTable, load_document, parse_document


def _read_one(table: StrictTable) -> int:
    number = table.whole("number", 0, 9, 0)
    table.close()
    return number


def _read_two(table: StrictTable) -> str:
    text = table.text("text", "", lambda _: None)
    tables = table.tables("needed", needed=True)
    for inner in tables:
        inner.close()
    table.close()
    return text


ONE = FileKind("one/1", "a one", _read_one)
TWO = FileKind("two/1", "a two", _read_two)


def test_the_schema_says_what_a_file_is() -> None:
    assert parse_document('schema = "one/1"\nnumber = 3', "f", ONE, TWO) == 3
    assert parse_document('schema = "two/1"\ntext = "x"', "f", ONE, TWO) == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'f:1: schema is missing: the file has to say schema = "one/1" or "two/1"'),
        (
            'schema = "three/1"\nx = 1',
            'f:1: schema is "three/1": this release does not know that, but "one/1" and "two/1"',
        ),
        ("schema = 1", "f:1: schema is a whole number: it has to be a text"),
        ("schema = ['one/1']", "f:1: schema is a list: it has to be a text"),
        ('schema = "one/1"\nx = 1', "f:2: a one has no key x: known are schema, number"),
        ('schema = "two/1"\nnumber = 1', "f:2: a two has no key number: known are schema, text"),
        ('schema = "two/1"\nneeded = []', "f:2: needed is an empty list: it has to hold a table"),
        ("#" * (256 * 1024 + 1), "f:1: the file has at most 256 KiB"),
    ],
)
def test_faults_name_the_kind(text: str, said: str) -> None:
    with pytest.raises(FileError) as error:
        parse_document(text, "f", ONE, TWO)
    assert str(error.value).startswith(said)


def test_one_kind_alone() -> None:
    with pytest.raises(FileError, match=r'this release does not know that, but "one/1"$'):
        parse_document('schema = "two/1"', "f", ONE)
    with pytest.raises(FileError, match="a one has at most 256 KiB"):
        parse_document("#" * (256 * 1024 + 1), "f", ONE)


def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_bytes(b'\xef\xbb\xbfschema = "one/1"\r\nnumber = 3\r\n')
    assert load_document(path, ONE, TWO) == 3
    path.write_bytes(b'schema = "one/1"\n\xff')
    with pytest.raises(FileError, match=r"one\.toml:2: byte 0xff is not UTF-8") as error:
        load_document(path, ONE, TWO)
    assert error.value.faults[0].line == 2
    path.unlink()
    with pytest.raises(FileError, match=r"one\.toml: No such file or directory") as error:
        load_document(path, ONE)
    assert error.value.faults == ()
    with pytest.raises(FileError, match="this is no path"):
        load_document(Path("a\0b"), ONE)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/null")):
        with pytest.raises(FileError, match=r"it is a \w+, not a regular file"):
            load_document(path, ONE)


def test_a_long_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(FileError, match="at most 256 KiB"):
        load_document(path, ONE)
