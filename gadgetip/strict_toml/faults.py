"""What is wrong with a file, and where.

Whoever edits a file by hand wants to know the line, the key and the right spelling. All faults of
a file are collected, up to a limit, so that a checker can print every one; the message of the
error has the first.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from gadgetip.errors import GadgetipError
from gadgetip.usb import printable

KeyPath = tuple[str | int, ...]
"""Where a value stands: `("endpoint", 0, "shaper")`. Numbers count tables of one name, and
values of one list, from 0."""

MAX_FAULTS = 20
SHOWN_CHARACTERS = 40


class FileFault(NamedTuple):
    """One thing that is wrong: the file, the line (from 1), and what to do about it."""

    source: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.problem}"


class FileError(GadgetipError):
    """A file that cannot be found, read or understood; `faults` in the order of the lines."""

    def __init__(self, message: str, faults: tuple[FileFault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults

    @classmethod
    def of(cls, *faults: FileFault) -> "FileError":
        """The error that has these faults, at least one; its message is the first."""
        ordered = tuple(sorted(faults, key=lambda fault: fault.line))
        others = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
        return cls(f"{ordered[0]}{others}", ordered)


class FaultList:
    """Collects the faults of one file.

    `lines` is where each key stands; `noun` is what the file is, "a profile".
    """

    def __init__(self, source: str, lines: Mapping[KeyPath, int], noun: str = "the file") -> None:
        self.noun = noun
        self._source = source
        self._lines = lines
        self._faults: list[FileFault] = []

    def add(self, path: KeyPath, problem: str) -> None:
        """Note what is wrong with the value there; raises `FileError` when that is enough."""
        self._faults.append(FileFault(self._source, self.line(path), problem))
        if len(self._faults) >= MAX_FAULTS:
            self.raise_any()

    def line(self, path: KeyPath) -> int:
        """The line of a key, else of the table that it would stand in."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def raise_any(self) -> None:
        """Raise `FileError` if anything was noted."""
        if self._faults:
            raise FileError.of(*self._faults)


def nearest(name: str, known: tuple[str, ...]) -> str:
    """What to say behind a name that is not known: the one that was meant, or all there are."""
    close = get_close_matches(name.lower(), {k.lower(): k for k in known}, n=1)
    if close:
        return f": did you mean {next(k for k in known if k.lower() == close[0])}?"
    return f": known are {', '.join(known)}" if known else ""


def shown_key(key: str) -> str:
    """A key as it is written, fit for a message."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) else shown(key)


def shown(value: object) -> str:
    """A value of a file, fit for a message: short, and harmless to a terminal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    # A number may have more digits than Python is willing to print.
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    whole = value if isinstance(value, str) else str(value)
    text = printable(whole[:SHOWN_CHARACTERS])
    if len(whole) > SHOWN_CHARACTERS:
        text += "…"
    return f'"{text}"' if isinstance(value, str) else text
