"""What is probably meant where a file is no TOML, for somebody who has never heard of TOML.

The parser names the character at which it gave up. A person who edits a file by hand has made one
of few mistakes, and they show in the line: quotation marks that a word processor made curly, one
that is missing, or all. No word of the line gets into the answer: it may be a passphrase.
"""

import codecs
import re
import tomllib
from collections.abc import Sequence

MAX_LINE = 1000
"""In characters: a person's line is shorter."""

_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'""")
_CURLY = re.compile("[\u2018-\u201f\u00ab\u00bb\u2032\u2033\u301d-\u301f\uff02]")
_BARE_VALUE = re.compile(r"=(?P<value>[^\"'\[\]{},#=]*)")

CURLY = 'the quotation marks are curly ones: write straight ones, as in name = "stick"'
MISSING = 'a quotation mark is missing: one stands before the value, one behind it, name = "stick"'
BARE = 'the value has no quotation marks around it: write it as in name = "stick"'
NOTHING = 'there is nothing behind the =: write a value, as in name = "stick"'
UTF_16 = "the file is saved as UTF-16 (Unicode): save it again, as UTF-8"


def plain_words(line: str) -> str | None:
    """What is wrong in a line that the parser refuses; None where it is nothing of this."""
    if len(line) > MAX_LINE:
        return None
    # Whole texts are right, and a comment may hold anything.
    rest = _TEXT.sub('""', line)
    rest = rest.partition("#")[0]
    left = rest.replace('""', "")
    if _CURLY.search(left):
        return CURLY
    if '"' in left or "'" in left:
        return MISSING
    for match in _BARE_VALUE.finditer(rest):
        value = match["value"].strip()
        behind = rest[match.end() : match.end() + 1]
        if not value and behind in {"", ",", "}"}:
            return NOTHING
        if value and not _is_value(value):
            return BARE
    return None


def unclosed(lines: Sequence[str]) -> int | None:
    """The first line, from 1, that lacks a quotation mark: the parser may have read past it."""
    return next((at for at, line in enumerate(lines, 1) if plain_words(line) == MISSING), None)


def is_utf_16(data: bytes) -> bool:
    """Whether these are the bytes of such a file; a text has no zeros otherwise."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data[:4]


def _is_value(text: str) -> bool:
    try:
        tomllib.loads(f"x = {text}")
    except ValueError:
        return False
    return True
