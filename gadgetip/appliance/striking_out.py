"""Taking a passphrase out of a file that a person wrote, and leaving the rest as it is.

The file lies on FAT, which keeps no journal, and whoever finds the card may read what is left of a
file that was replaced. So the passphrase is written over where it stands, by text of the same
length: no directory entry and no length changes, and nothing of it remains on the medium.

No second parser of TOML decides where the passphrase stands. A place is guessed, changed, and the
result read again: it is right if and only if that one key has changed and nothing else has. What
stands in a comment or in another text is no place to guess: each guess costs a reading of the file.
"""

import re
import tomllib
from itertools import islice

from gadgetip.appliance.changes import Overwrite
from gadgetip.supervisor.board_config import MOVED

MAX_GUESSES = 8
"""In a configuration that is right no other key has this name, so that the first guess is."""

_TEXT = (
    r'"""(?:\\.|[^\\])*?"""(?!")|'
    r"'''.*?'''(?!')|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'"
)
_PIECE = re.compile(
    rf"""(?<![A-Za-z0-9_-])["']?psk["']?[ \t]*=[ \t]*(?P<value>{_TEXT})|\#[^\n]*|{_TEXT}""",
    re.DOTALL,
)
_STRUCK = re.compile(f'"{MOVED}" *'.encode())
_BYTE_ORDER_MARK = "\ufeff"


def strike_out(path: str, data: bytes) -> Overwrite | None:
    """What takes the passphrase out of a configuration that was read without a fault.

    None where it is written in a way that is not understood here.
    """
    text = data.decode("utf-8")
    wanted = _read(text)
    assert wanted is not None
    wanted["board"]["wifi"]["psk"] = MOVED
    places = (match for match in _PIECE.finditer(text) if match["value"] is not None)
    for match in islice(places, MAX_GUESSES):
        old = match["value"]
        length = len(old.encode("utf-8"))
        new = f'"{MOVED}"'.ljust(length)
        before, after = text[: match.start("value")], text[match.end() :]
        if len(new) == length and _read(before + new + after) == wanted:
            offset = len(before.encode("utf-8"))
            return Overwrite(path, offset, old.encode("utf-8"), new.encode("ascii"))
    return None


def mend(path: str, data: bytes, meant: bytes) -> Overwrite | None:
    """What ends a striking out that the power's end interrupted; `meant` is what was to become.

    The place may lie in two sectors of the card's, of which one was written. None where it is done,
    or where more than the passphrase differs: somebody has edited the file since.
    """
    if len(data) != len(meant) or data == meant:
        return None
    differing = [
        at for at, (one, other) in enumerate(zip(data, meant, strict=True)) if one != other
    ]
    for match in _STRUCK.finditer(meant):
        start, end = match.span()
        if start <= differing[0] and differing[-1] < end:
            return Overwrite(path, start, data[start:end], meant[start:end])
    return None


def struck(data: bytes, edit: Overwrite | None) -> bytes:
    """The file's content once the edit is done."""
    if edit is None:
        return data
    return data[: edit.offset] + edit.new + data[edit.offset + len(edit.old) :]


def _read(text: str) -> dict[str, dict[str, dict[str, object]]] | None:
    try:
        return tomllib.loads(text.removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        return None
