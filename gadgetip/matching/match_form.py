"""`match`: which devices are meant, read from the tables of a profile or a policy.

The words are those of DEVICE at the command line: `id`, `serial`, `name`, `class`, `busid`, each
a glob or a list of them. A pattern that no device can have ("483:5740", whose vendor lacks a
digit) would never match and never say so; such are refused.
"""

import re
from dataclasses import replace

from gadgetip.matching.match import Match
from gadgetip.strict_toml import StrictTable

KEYS = ("id", "serial", "name", "class", "busid")
EXAMPLE = 'a table, match = { id = "0781:5581" }'
MAX_PATTERN_CHARACTERS = 256
MAX_BUSID_BYTES = 31  # with the NUL behind it 32, the size of the field on the wire

_GLOB = frozenset("*?[]")
_HEX_GLOB = re.compile(r"[0-9a-f?*\[\]!-]{1,16}")


def read_matches(table: StrictTable, *, needed: bool = False) -> tuple[Match, ...]:
    """The key `match` of this table: one table or a list of them.

    Without it (), which is a fault where it is `needed`.
    """
    if needed:
        table.need("match", "say which devices are meant")
    tables = table.tables("match", single=True, needed=needed, example=EXAMPLE)
    return tuple(read_match(match) for match in tables)


def read_match(table: StrictTable) -> Match:
    """One table of `match`; faults go to the table's list."""
    inner = table.table("not")
    excluded = _read_patterns(inner) if table.has("not") else None
    return replace(_read_patterns(table), excluded=excluded)


def _read_patterns(table: StrictTable) -> Match:
    # All keys that are there have to match, so that a table without any matches everything.
    if not any(map(table.has, KEYS)):
        table.fault(None, f"fits every device: give one of {', '.join(KEYS)}")
    match = Match(
        ids=tuple(text.lower() for text in table.texts("id", _id_problem)),
        serials=table.texts("serial", _text_problem),
        names=table.texts("name", _text_problem),
        classes=tuple(_whole_class(text) for text in table.texts("class", _class_problem)),
        busids=table.texts("busid", _busid_problem),
    )
    table.close()
    return match


def _id_problem(text: str) -> str | None:
    parts = text.lower().split(":")
    if len(parts) == 2 and all(_fits(part, 4) for part in parts):
        return None
    return 'write VID:PID, four hexadecimal digits each, or globs of them: "0483:57*"'


def _class_problem(text: str) -> str | None:
    parts = text.lower().split("/")
    if len(parts) <= 3 and all(_fits(part, 2) for part in parts):
        return None
    return 'write CLASS/SUBCLASS/PROTOCOL, two hexadecimal digits each, or globs: "02/02/*"'


def _whole_class(text: str) -> str:
    """The class with the parts that were left out: "08" is "08/*/*"."""
    return "/".join([*text.lower().split("/"), "*", "*"][:3])


def _busid_problem(text: str) -> str | None:
    if problem := _text_problem(text):
        return problem
    if " " in text or len(text.encode()) > MAX_BUSID_BYTES:
        return f"a bus id has 1 to {MAX_BUSID_BYTES} bytes and no spaces"
    return None


def _text_problem(text: str) -> str | None:
    if text and len(text) <= MAX_PATTERN_CHARACTERS and text.isprintable():
        return None
    return f"a pattern has 1 to {MAX_PATTERN_CHARACTERS} printable characters"


def _fits(part: str, digits: int) -> bool:
    """Whether something can match that has so many hexadecimal digits."""
    return bool(_HEX_GLOB.fullmatch(part)) and (len(part) == digits or bool(_GLOB & set(part)))
