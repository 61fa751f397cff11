"""One table of a TOML file, read strictly.

A key is known because somebody asks for it: there is no second list of keys that could differ
from what is read. When all has been asked for, `close` finds what is left over, which is a
misspelling, or a file for another release; either would be ignored silently otherwise.

A value that is wrong is noted and answered with the default, so that reading goes on and finds
the other faults; nobody uses what was read until `FaultList.raise_any` has passed.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import TypeVar

from gadgetip.strict_toml.faults import FaultList, KeyPath, nearest, shown, shown_key

_Default = TypeVar("_Default")

_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (dict, "a table"),
    (list, "a list"),
    ((datetime, date, time), "a date or time"),
)


class StrictTable:
    """A table, where it stands, and where its faults go."""

    def __init__(self, values: Mapping[str, object], path: KeyPath, faults: FaultList) -> None:
        self._values = values
        self._faults = faults
        self._asked: list[str] = []
        self._path = path

    def has(self, key: str) -> bool:
        """Whether the key is there, right or wrong."""
        return key in self._values

    def fault(self, key: str | None, problem: str) -> None:
        """Note what is wrong with a key, or with the table as a whole."""
        path = self._path if key is None else (*self._path, key)
        self._faults.add(path, f"{self._where} {problem}".strip())

    def need(self, key: str, meaning: str) -> None:
        """Note it if a key that has to be there is not; `meaning` says what to write."""
        if key not in self._values:
            self.fault(key, f"{key} is missing: {meaning}")

    def text(
        self, key: str, default: _Default, problem_of: Callable[[str], str | None]
    ) -> str | _Default:
        """A text; `problem_of` says what is wrong with it, None if nothing is."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self._wrong_type(key, value, "a text")
        elif problem := problem_of(value):
            self.fault(key, f"{key} is {shown(value)}: {problem}")
        else:
            return value
        return default

    def texts(
        self, key: str, problem_of: Callable[[str], str | None], most: int | None = None
    ) -> tuple[str, ...]:
        """A text, or a list of at least one and at most `most`; () without the key."""
        value = self._take(key)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [value]
        elif not isinstance(value, list):
            self._wrong_type(key, value, "a text or a list of texts")
            return ()
        elif not value:
            self.fault(key, f"{key} is an empty list: leave it out")
        elif most is not None and len(value) > most:
            self.fault(key, f"{key} has {len(value)} entries: {most} are the most")
            return ()
        texts = []
        for index, element in enumerate(value):
            if not isinstance(element, str):
                problem = f"{key} holds {_type_of(element)}: it has to hold texts"
            elif found := problem_of(element):
                problem = f"{key} is {shown(element)}: {found}"
            else:
                texts.append(element)
                continue
            self._faults.add((*self._path, key, index), f"{self._where} {problem}".strip())
        return tuple(texts)

    def one_of(self, key: str, names: tuple[str, ...], default: _Default) -> str | _Default:
        """One of these names."""

        def problem_of(value: str) -> str | None:
            return None if value in names else f"it is no {key}{nearest(value, names)}"

        return self.text(key, default, problem_of)

    def flag(self, key: str, default: _Default) -> bool | _Default:
        """True or false."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self._wrong_type(key, value, "true or false")
        return default

    def whole(
        self, key: str, low: int, high: int, default: _Default, *, hexadecimal: bool = False
    ) -> int | _Default:
        """A whole number from `low` to `high`."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong_type(key, value, "a whole number")
        elif low <= value <= high:
            return value
        else:
            given, limits = shown(value), f"{low} to {high}"
            if hexadecimal:
                limits = f"0x{low:x} to 0x{high:x}"
                given = f"0x{value:x}" if 0 <= value < 2**32 else given
            self.fault(key, f"{key} is {given}: it has to be {limits}")
        return default

    def number(self, key: str, low: float, high: float, default: _Default) -> float | _Default:
        """A number from `low` to `high`, whole or not."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong_type(key, value, "a number")
        elif not math.isnan(value) and low <= value <= high:
            return value
        else:
            self.fault(key, f"{key} is {shown(value)}: it has to be {low:g} to {high:g}")
        return default

    def table(self, key: str) -> "StrictTable":
        """A table; an empty one without the key."""
        value = self._take(key)
        if isinstance(value, dict):
            return StrictTable(value, (*self._path, key), self._faults)
        if value is not None:
            self._wrong_type(key, value, f"a table, [{key}]")
        return StrictTable({}, (*self._path, key), self._faults)

    def tables(
        self, key: str, *, single: bool = False, needed: bool = False, example: str = ""
    ) -> list["StrictTable"]:
        """A list of tables, `[[key]]`.

        With `single` one plain table will do; with `needed` a list without any is a fault.
        `example` is what to write in place of something that is neither.
        """
        value = self._take(key)
        if value is None:
            return []
        if single and isinstance(value, dict):
            return [StrictTable(value, (*self._path, key), self._faults)]
        if not isinstance(value, list):
            self._wrong_type(key, value, example or f"a list of tables, [[{key}]]")
            return []
        if needed and not value:
            self.fault(key, f"{key} is an empty list: it has to hold a table")
        tables = []
        for index, element in enumerate(value):
            path = (*self._path, key, index)
            if isinstance(element, dict):
                tables.append(StrictTable(element, path, self._faults))
            else:
                problem = f"{key} holds {_type_of(element)}: it has to hold tables"
                self._faults.add(path, f"{self._where} {problem}".strip())
        return tables

    def close(self, *, may_quote: bool = True) -> None:
        """Note every key that nobody has asked for.

        Without `may_quote` no message has the key itself: it may be a secret in the wrong place.
        """
        known = tuple(self._asked)
        for key in self._values:
            if key not in self._asked:
                where = self._where or self._faults.noun
                what = f"no key {shown_key(key)}" if may_quote else "a key that it must not have"
                problem = f"{where} has {what}{nearest(key, known)}"
                self._faults.add((*self._path, key), problem)

    @property
    def _where(self) -> str:
        """The table's header, as it would be written; nothing for the whole file."""
        if not self._path:
            return ""
        name = ".".join(part for part in self._path if isinstance(part, str))
        return f"[[{name}]]" if isinstance(self._path[-1], int) else f"[{name}]"

    def _take(self, key: str) -> object:
        """The value, None without one: TOML has no null."""
        self._asked.append(key)
        return self._values.get(key)

    def _wrong_type(self, key: str, value: object, wanted: str) -> None:
        self.fault(key, f"{key} is {_type_of(value)}: it has to be {wanted}")


def _type_of(value: object) -> str:
    return next((name for types, name in _TYPES if isinstance(value, types)), "something else")
