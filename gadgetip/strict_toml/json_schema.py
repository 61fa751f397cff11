"""What an editor is told about a kind of file: its JSON Schema (2020-12), from the reader itself.

A key is known because the reader asks for it (`StrictTable`). So the reader is run over a table
that has every key and notes what is asked: which keys, of which type, between which limits. There
is no second list of keys that could differ from the first.

What a text has to look like, and what one key says about another, the reader knows in code; a
schema that was derived cannot say it. It takes every file that the reader takes, and some more.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gadgetip.strict_toml.document import FileKind
from gadgetip.strict_toml.faults import FaultList
from gadgetip.strict_toml.strict_table import StrictTable

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]
Describe = Callable[[tuple[str, ...]], str | None]
"""What there is to say about the key with this path, in words."""

_Default = TypeVar("_Default")


def json_schema(kind: FileKind[object], title: str, describe: Describe = lambda _: None) -> Schema:
    """The schema of a kind of file; `describe` gives the words that an editor shows for a key."""
    table = _AskedTable(())
    table.need("schema", "")
    kind.read(table)
    parts: dict[str, Schema] = {}
    schema = table.schema(describe, parts)
    schema["properties"] = {
        "schema": {**_described(describe, ("schema",)), "const": kind.schema},
        **schema["properties"],
    }
    return {"$schema": DIALECT, "title": title, **schema, **({"$defs": parts} if parts else {})}


class _AskedTable(StrictTable):
    """A table that seems to have every key, and notes what it is asked for."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__({}, path, FaultList("", {}))
        self.names = path
        self._properties: dict[str, Schema | _AskedTable | _AskedTables] = {}
        self._needed: list[str] = []

    def schema(self, describe: Describe, parts: dict[str, Schema]) -> Schema:
        """What was asked for; what is needed twice goes to the `parts`, by a name."""
        properties: dict[str, Schema] = {}
        for key, asked in self._properties.items():
            made = asked if isinstance(asked, dict) else asked.schema(describe, parts)
            properties[key] = {**_described(describe, (*self.names, key)), **made}
        if not properties:  # whoever asks for nothing leaves it to another reader
            return {"type": "object"}
        schema: Schema = {"type": "object", "properties": properties}
        if self._needed:
            schema["required"] = self._needed
        return {**schema, "additionalProperties": False}

    def has(self, key: str) -> bool:  # noqa: ARG002 (every key is there)
        """Yes."""
        return True

    def fault(self, key: str | None, problem: str) -> None:
        """Nothing is wrong with a table that nobody wrote."""

    def need(self, key: str, meaning: str) -> None:  # noqa: ARG002 (that is for messages)
        """Note that the key has to be there."""
        self._needed.append(key)

    def text(
        self,
        key: str,
        default: _Default,
        problem_of: Callable[[str], str | None],  # noqa: ARG002 (code, which no schema can say)
    ) -> _Default:
        """Note a text."""
        return self._noted(key, {"type": "string"}, default)

    def texts(
        self,
        key: str,
        problem_of: Callable[[str], str | None],  # noqa: ARG002
        most: int | None = None,
    ) -> tuple[str, ...]:
        """Note a text or a list of texts."""
        several: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        if most is not None:
            several["maxItems"] = most
        return self._noted(key, {"anyOf": [{"type": "string"}, several]}, ())

    def one_of(self, key: str, names: tuple[str, ...], default: _Default) -> _Default:
        """Note one of these names."""
        return self._noted(key, {"enum": list(names)}, default)

    def flag(self, key: str, default: _Default) -> _Default:
        """Note true or false."""
        return self._noted(key, {"type": "boolean"}, default)

    def whole(
        self,
        key: str,
        low: int,
        high: int,
        default: _Default,
        *,
        hexadecimal: bool = False,  # noqa: ARG002 (that is for messages)
    ) -> _Default:
        """Note a whole number."""
        return self._noted(key, {"type": "integer", "minimum": low, "maximum": high}, default)

    def number(self, key: str, low: float, high: float, default: _Default) -> _Default:
        """Note a number."""
        return self._noted(key, {"type": "number", "minimum": low, "maximum": high}, default)

    def table(self, key: str) -> StrictTable:
        """Note a table."""
        inner = _AskedTable((*self.names, key))
        self._properties[key] = inner
        return inner

    def tables(
        self,
        key: str,
        *,
        single: bool = False,
        needed: bool = False,
        example: str = "",  # noqa: ARG002 (that is for messages)
    ) -> list[StrictTable]:
        """Note a list of tables; what is asked of one of them is asked of each."""
        inner = _AskedTable((*self.names, key))
        self._properties[key] = _AskedTables(inner, single=single, needed=needed)
        return [inner]

    def close(self, *, may_quote: bool = True) -> None:
        """Every key is known."""

    def _noted(self, key: str, schema: Schema, default: _Default) -> _Default:
        if isinstance(default, str | int | float) and default != "" and key not in self._needed:
            schema["default"] = default
        self._properties[key] = schema
        return default


class _AskedTables:
    """A list of tables."""

    def __init__(self, inner: _AskedTable, *, single: bool, needed: bool) -> None:
        self._inner, self._single, self._needed = inner, single, needed

    def schema(self, describe: Describe, parts: dict[str, Schema]) -> Schema:
        """The list; where one plain table will do, that too."""
        one = self._inner.schema(describe, parts)
        if self._single:
            name = ".".join(self._inner.names)
            parts[name] = one
            one = {"$ref": f"#/$defs/{name}"}
        several: Schema = {"type": "array", "items": one}
        if self._needed:
            several["minItems"] = 1
        return {"anyOf": [one, several]} if self._single else several


def _described(describe: Describe, path: tuple[str, ...]) -> Mapping[str, str]:
    words = describe(path)
    return {"description": words} if words else {}
