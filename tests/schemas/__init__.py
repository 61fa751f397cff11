"""The JSON Schemas in docs/schema: made from the readers, with the words of the documentation.

`python -m tests.schemas` writes them; a unit test holds them against what it would write. A further
kind of file is one more line in `SCHEMAS`.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from gadgetip.profiles import PROFILE_KIND
from gadgetip.server.policy import POLICY_KIND
from gadgetip.strict_toml import FileKind
from gadgetip.strict_toml.json_schema import Schema, json_schema
from gadgetip.supervisor.config_form import IMAGE_CONFIG_KIND

DOCS = Path(__file__).parents[2] / "docs"

MEANINGS = ("Meaning", "Means", "Compared with", "The device's", "Value", "Values")
"""The columns of the documentation that say what a key is, the best first."""

_HEADING = re.compile(r"#+ (?:At the top|`?\[{0,2}([a-z_.]+)\]{0,2}`?)")
_KEY = re.compile(r"`([A-Za-z_]+)`")

Words = dict[tuple[str, ...], str]
"""What the documentation says of a key, by its path."""


class Described(NamedTuple):
    """A kind of file, the page that documents it, and what an editor calls it."""

    kind: FileKind[object]
    page: str
    title: str

    @property
    def file(self) -> Path:
        """Where its schema is: "profile/1" in profile-1.schema.json."""
        return DOCS / "schema" / f"{self.kind.schema.replace('/', '-')}.schema.json"

    @property
    def words(self) -> Words:
        """What its page says."""
        return documented_keys((DOCS / self.page).read_text())

    def schema(self) -> Schema:
        """The schema, as it has to be."""
        words = self.words
        return json_schema(self.kind, self.title, lambda path: words_for(words, path))

    def text(self) -> str:
        """The schema's file, as it has to be."""
        return json.dumps(self.schema(), indent=1, ensure_ascii=False) + "\n"


SCHEMAS = (
    Described(PROFILE_KIND, "profiles.md", "A profile of gadgetip"),
    Described(IMAGE_CONFIG_KIND, "configuration.md", "The configuration of gadgetip"),
    Described(POLICY_KIND, "policy.md", "An export policy of gadgetip"),
)


def documented_keys(page: str) -> Words:
    """The tables of keys in a page, each below the heading of its TOML table."""
    words: Words = {}
    path: tuple[str, ...] = ()
    column: int | None = None
    for line in page.splitlines():
        if line.startswith("#"):
            heading = _HEADING.fullmatch(line)
            path = tuple(heading[1].split(".")) if heading and heading[1] else ()
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if cells[:1] == ["Key"]:
            column = next(cells.index(name) for name in MEANINGS if name in cells)
        elif not cells:
            column = None
        elif column is not None:
            for key in _KEY.findall(cells[0]):
                words[*path, key] = re.sub(r"[`*]", "", cells[column])
    return words


def words_for(words: Words, path: tuple[str, ...]) -> str | None:
    """What the page says of a key; what several tables have in common stands there once."""
    plain = tuple(name for name in path[:-1] if name != "not") + path[-1:]
    return next((words[plain[at:]] for at in range(len(plain)) if plain[at:] in words), None)
