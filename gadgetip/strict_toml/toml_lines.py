"""Where the keys of a TOML document stand.

Python's parser keeps no positions of what it has read, and the libraries that keep the style of a
document keep none either. But what a document *means* is not asked here, only on which line each
key begins; and for that it is enough to tell strings, brackets and keys apart. This scan reads
all documents that the parser takes, and some that it does not: the parser has the last word, so
where the scan meets something strange it just ends.

It runs before the parser and bounds how deep names and values are nested, because the parser
calls itself for each level and takes quadratic time for a name of many parts.
"""

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress

from gadgetip.strict_toml.faults import FileError, FileFault, KeyPath

MAX_DEPTH = 8
"""The most names and numbers in a path; the longest that a file kind of ours has is 7,
`export 0 match 0 not id 0`."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
# Up to two quotes may stand before the three that end a text of several lines.
_STRING = re.compile(
    r'''"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3,5}|'''
    r"""'''[^']*(?:'(?!'')[^']*)*'{3,5}|"""
    r""""(?:[^"\\\n]|\\.)*"|"""
    r"""'[^'\n]*'""",
    re.DOTALL,
)
_BARE = re.compile(r"[^\n,\]}#]+")


def key_lines(text: str, source: str) -> dict[KeyPath, int]:
    """The line, from 1, of each key, table and list element.

    Raises `FileError` for a document that is nested too deeply.
    """
    scan = _Scan(text, source)
    with suppress(_StrangeError):
        scan.document()
    return scan.lines


class _StrangeError(Exception):
    """This is no TOML; the parser will say why."""


class _Scan:
    def __init__(self, text: str, source: str) -> None:
        # As the parser does.
        self._text = text.replace("\r\n", "\n")
        self._source = source
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", self._text)]
        self._tables: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._next("[["):
                table = self._header(array=True)
                self._expect("]]")
            elif self._next("["):
                table = self._header(array=False)
                self._expect("]")
            else:
                self._pair(table)

    def _header(self, *, array: bool) -> KeyPath:
        """The path of a table from its header; one in brackets twice is a further one."""
        path: KeyPath = ()
        line = self._line
        parts = self._key()
        for left, part in zip(reversed(range(len(parts))), parts, strict=True):
            path = self._noted((*path, part), line)
            if array and not left:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = self._noted((*path, self._tables[path] - 1), line)
        return path

    def _pair(self, table: KeyPath) -> None:
        path, line = table, self._line
        for part in self._key():
            path = self._noted((*path, part), line)
        self._expect("=")
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            part = self._skip(_KEY_PART)
            parts.append(_unquoted(part) if part[0] in "\"'" else part)
            if len(parts) > MAX_DEPTH:
                raise self._too_deep()
            self._skip(_SPACE)
            if not self._next("."):
                return parts

    def _value(self, path: KeyPath) -> None:
        if self._next("["):
            self._list(path)
        elif self._next("{"):
            self._inline_table(path)
        elif self._text[self._at : self._at + 1] in {'"', "'"}:
            self._skip(_STRING)
        else:
            self._skip(_BARE)

    def _list(self, path: KeyPath) -> None:
        index = 0
        while True:
            self._skip(_BLANK)
            if self._next("]"):
                return
            self._value(self._noted((*path, index), self._line))
            index += 1
            self._skip(_BLANK)
            if not self._next(","):
                self._expect("]")
                return

    def _inline_table(self, path: KeyPath) -> None:
        while True:
            self._skip(_BLANK)
            if self._next("}"):
                return
            self._pair(path)
            self._skip(_BLANK)
            if not self._next(","):
                self._expect("}")
                return

    @property
    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1

    def _noted(self, path: KeyPath, line: int) -> KeyPath:
        if len(path) > MAX_DEPTH:
            raise self._too_deep()
        self.lines.setdefault(path, line)
        return path

    def _too_deep(self) -> FileError:
        return FileError.of(
            FileFault(self._source, self._line, "tables or lists are nested too deeply")
        )

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _StrangeError
        self._at = match.end()
        return match[0]

    def _next(self, token: str) -> bool:
        found = self._text.startswith(token, self._at)
        if found:
            self._at += len(token)
        return found

    def _expect(self, token: str) -> None:
        if not self._next(token):
            raise _StrangeError


def _unquoted(part: str) -> str:
    try:
        (key,) = tomllib.loads(f"{part} = 0")
    except ValueError:
        raise _StrangeError from None
    return str(key)
