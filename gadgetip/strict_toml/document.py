"""A whole file: which kind it is, its size, its encoding, its syntax.

Every kind of file names itself and its format in its first key (`schema = "profile/1"`), so that a
file for a later format is refused by name instead of by its first new key, and so that a checker
can be given any file.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, Generic, TypeVar

from gadgetip.strict_toml.faults import FaultList, FileError, FileFault
from gadgetip.strict_toml.plain_words import UTF_16, is_utf_16, plain_words, unclosed
from gadgetip.strict_toml.reading import read_bytes
from gadgetip.strict_toml.strict_table import StrictTable
from gadgetip.strict_toml.toml_lines import key_lines
from gadgetip.usb import printable

MAX_FILE_BYTES = 256 * 1024

_POSITION = re.compile(r" \((?:at line (\d+), column \d+|at end of document)\)$")
_ENDLESS = ('Expected "\'"', "Unterminated string")

_Content_co = TypeVar("_Content_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FileKind(Generic[_Content_co]):
    """One kind of file.

    `schema` is how the file names it ("profile/1"), `noun` how messages do ("a profile"). `read`
    makes of the whole table what the file says; the key `schema` has been asked for already, faults
    go to the table's list, and `read` closes the table.
    """

    schema: str
    noun: str
    read: Callable[[StrictTable], _Content_co]


def load_document(file: Traversable, *kinds: FileKind[_Content_co]) -> _Content_co:
    """Read a file of one of these kinds; a `Path` is a `Traversable`.

    Raises `FileError` when it cannot be read or understood, with every fault (20 at most).
    """
    source = str(file)
    try:
        data = read_bytes(file, MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileError(f"{printable(source)}: {error.strerror or error}") from None
    except ValueError:  # a NUL, which no path can have
        raise FileError(f"{printable(source)}: this is no path") from None
    return decode_document(data, source, *kinds)


def decode_document(data: bytes, source: str, *kinds: FileKind[_Content_co]) -> _Content_co:
    """Read the bytes of a file; see `parse_document`."""
    if len(data) > MAX_FILE_BYTES:
        raise _too_long(source, kinds)
    if is_utf_16(data):
        raise _fault(source, 1, UTF_16)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise _fault(source, line, problem) from None
    return parse_document(text, source, *kinds)


def parse_document(text: str, source: str, *kinds: FileKind[_Content_co]) -> _Content_co:
    """Read the text of a file of one of `kinds`, at least one; messages call it `source`.

    Raises `FileError` with every fault (20 at most), and nothing else whatever the text is.
    """
    source = printable(source)
    if len(text) > MAX_FILE_BYTES:
        raise _too_long(source, kinds)
    lines = key_lines(text, source)
    values = _parse(text, source)
    kind = next((kind for kind in kinds if kind.schema == values.get("schema")), None)
    faults = FaultList(source, lines, (kind or kinds[0]).noun)
    table = StrictTable(values, (), faults)
    known = [f'"{kind.schema}"' for kind in kinds]
    table.need("schema", "the file has to say schema = " + " or ".join(known))
    unknown = f"this release does not know that, but {' and '.join(known)}"
    table.text("schema", None, lambda _: None if kind else unknown)
    faults.raise_any()
    assert kind is not None
    content = kind.read(table)
    faults.raise_any()
    return content


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or int() of thousands of digits
        message = printable(str(error))
        position = _POSITION.search(message)
        if not position:
            raise _fault(source, 1, f"this is no TOML: {message}") from None
        line = int(position[1]) if position[1] else text.count("\n") + 1
        lines = text.split("\n")
        if not position[1] and message.startswith(_ENDLESS):
            line = unclosed(lines) or line
        found = plain_words(lines[line - 1])
        problem = found or f"this is no TOML: {message[: position.start()]}"
        raise _fault(source, line, problem) from None
    except RecursionError:
        raise _fault(source, 1, "tables or lists are nested too deeply") from None


def _too_long(source: str, kinds: tuple[FileKind[object], ...]) -> FileError:
    noun = kinds[0].noun if len(kinds) == 1 else "the file"
    return _fault(source, 1, f"{noun} has at most {MAX_FILE_BYTES // 1024} KiB")


def _fault(source: str, line: int, problem: str) -> FileError:
    return FileError.of(FileFault(printable(source), line, problem))
