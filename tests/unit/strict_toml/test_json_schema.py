"""The schemas that editors use agree with the readers, and with what the documentation says."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gadgetip.profiles import PROFILE_KIND, profile_files
from gadgetip.profiles.writing import profile_text
from gadgetip.server.policy import POLICY_KIND
from gadgetip.strict_toml import FileError, FileKind, parse_document
from gadgetip.supervisor.config_form import CONFIG_KIND
from tests.schemas import DOCS, SCHEMAS, Described, documented_keys, words_for
from tests.unit.profiles.files import CONTRACT
from tests.unit.profiles.strategies import profiles

described = pytest.mark.parametrize("described", SCHEMAS, ids=lambda each: each.kind.schema)
SCHEMA_OF = {each.kind.schema: each.schema() for each in SCHEMAS}
PROFILE = Draft202012Validator(SCHEMA_OF["profile/1"])
CONFIG = Draft202012Validator(SCHEMA_OF["config/1"])


@described
def test_the_files_are_what_the_readers_say(described: Described) -> None:
    assert described.file.read_text() == described.text(), "run: make schemas"


@described
def test_they_are_schemas(described: Described) -> None:
    Draft202012Validator.check_schema(described.schema())


def test_nobody_has_forgotten_a_schema() -> None:
    assert {each.file for each in SCHEMAS} == set(SCHEMAS[0].file.parent.glob("*.json"))


def keys(
    schema: dict[str, Any], whole: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Every key below here, by its path."""
    for each in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        if "$ref" in each:
            yield from keys(whole["$defs"][each["$ref"].rpartition("/")[2]], whole, path)
        for name, inner in each.get("properties", {}).items():
            if inner != {"type": "object"}:  # another reader's
                yield (*path, name)
                yield from keys(inner, whole, (*path, name))


@described
def test_every_key_is_documented_and_every_documented_key_is_one(described: Described) -> None:
    schema, words = described.schema(), described.words
    found = set(keys(schema, schema))
    # A table is explained by its section, so its own name needs no line of a table.
    leaves = {path for path in found if not any(each[:-1] == path for each in found)}
    assert [path for path in sorted(leaves) if words_for(words, path) is None] == []
    ends = {path[at:] for path in found for at in range(len(path))}
    assert [path for path in sorted(words) if path not in ends] == []


@pytest.mark.parametrize("name", [each.name for each in profile_files(None)])
def test_shipped_profiles_are_valid(name: str) -> None:
    (file,) = (each.file for each in profile_files(None) if each.name == name)
    PROFILE.validate(tomllib.loads(file.read_text()))


def test_the_documented_configuration_is_valid() -> None:
    page = (DOCS / "configuration.md").read_text()
    example = page.split("```toml\n")[1].split("```")[0]
    assert reads(CONFIG_KIND, example)
    CONFIG.validate(tomllib.loads(example))
    board = page.split("```toml\n")[2].split("```")[0]
    CONFIG.validate(tomllib.loads(f'schema = "config/1"\n{board}'))
    for old, new in (('to = "vhci"', 'to = "host"'), ("enabled = false", "enabld = false")):
        wrong = example.replace(old, new)
        assert wrong != example
        assert not CONFIG.is_valid(tomllib.loads(wrong))
        assert not reads(CONFIG_KIND, wrong)


def test_the_contracts_profile_is_valid() -> None:
    PROFILE.validate(tomllib.loads(CONTRACT))


def reads(kind: FileKind[object], text: str) -> bool:
    try:
        parse_document(text, "x", kind)
    except FileError:
        return False
    return True


@settings(max_examples=100, deadline=None)
@given(profiles())
def test_what_the_reader_takes_the_schema_takes(profile: Any) -> None:
    text = profile_text(profile)
    assert reads(PROFILE_KIND, text)
    PROFILE.validate(tomllib.loads(text))


WRONG_VALUES = {
    "string": ["1", "true", "1.5", "{}", "[]", "1979-05-27"],
    "integer": ['"1"', "true", "1.5", "{}", "[1]", "-1", "99999999999"],
    "number": ['"1"', "true", "{}", "[1]", "-1", "99999999999", "inf"],
    "boolean": ['"true"', "1", "{}", "[true]"],
    "object": ['"x"', "1", "true", "[1]"],
    "array": ['"x"', "1", "true", "[1]", '["x"]'],
    "enum": ['"nonsense"', "1", "true", "{}"],
    "anyOf": ["1", "true", "[]", "[1]", "{ nonsense = 1 }"],
}


def wrong_lines() -> Iterator[tuple[str, str]]:
    """A table's header, and a line in it whose value has the wrong type or size."""
    whole = PROFILE.schema
    tables = {
        "": whole,
        "[gadget]": whole["properties"]["gadget"],
        "[gadget.identity]": whole["properties"]["gadget"]["properties"]["identity"],
        "[[interface]]": whole["properties"]["interface"]["items"],
        "[[endpoint]]": whole["properties"]["endpoint"]["items"],
        "[link]": whole["properties"]["link"],
        "[match]": whole["$defs"]["match"],
    }
    for header, table in tables.items():
        yield header, "nonsense = 1"
        for name, schema in table["properties"].items():
            other = next((key for key in ("enum", "anyOf") if key in schema), "const")
            kind = schema.get("type", other)
            for value in WRONG_VALUES.get(kind, ()):
                if (name, value) != ("match", "[]"):  # no table fits nothing, which is fine
                    yield header, f"{name} = {value}"


NEEDED = {"[[interface]]": "number = 1", "[[endpoint]]": "address = 0x81", "[match]": 'id = "*:*"'}


@pytest.mark.parametrize(("header", "line"), list(wrong_lines()))
def test_what_the_schema_refuses_the_reader_refuses(header: str, line: str) -> None:
    head = 'schema = "profile/1"\n' + ("" if line.startswith("name ") else 'name = "x"\n')
    need = NEEDED.get(header, "")
    rest = "" if line.split(" ", maxsplit=1)[0] == need.split(" ")[0] else need
    text = f"{head}{header}\n{rest}\n{line}\n" if header else f"{head}{line}\n"
    document = tomllib.loads(text)
    assert not PROFILE.is_valid(document), text
    assert not reads(PROFILE_KIND, text)


values = st.one_of(
    st.integers(-5, 300),
    st.booleans(),
    st.floats(0.1, 9.9).filter(lambda number: not number.is_integer()),
    st.sampled_from(["auto", "bot", "hold", "full-speed", "08/06/50", "0483:5740", "1-1", "x", ""]),
    st.lists(st.sampled_from(["0483:5740", "1-1", "08/06/50"]), max_size=2),
)
KEYS = {path[-1] for path in keys(dict(PROFILE.schema), dict(PROFILE.schema))}
names = st.sampled_from(sorted(KEYS))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(names, values, max_size=3),
    st.sampled_from(["gadget", "identity", "link", "interface", "endpoint", "match", "not"]),
)
def test_any_document(pairs: dict[str, Any], where: str) -> None:
    """Whatever the schema refuses the reader refuses: it never hides a file that would do."""
    headers = {
        "identity": "[gadget.identity]",
        "interface": "[[interface]]\n",
        "endpoint": "[[endpoint]]\n",
        "not": "[match]\nid = '*:*'\n[match.not]",
    }
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in pairs.items())
    text = f'schema = "profile/1"\nname = "x"\n{headers.get(where, f"[{where}]")}\n{lines}\n'
    if reads(PROFILE_KIND, text):
        PROFILE.validate(tomllib.loads(text))


POLICY = """\
schema = "policy/1"
[serve]
listen = ["::1", "127.0.0.1"]
dead_client_s = 2.5
[[export]]
name = "all"
match = [{ id = "*:*", not = { class = "03" } }]
clients = "192.168.1.0/24"
[[deny]]
match = { busid = ["1-2*"] }
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[serve]", "[serve]\nprot = 1"),
        ("2.5", "1.5"),
        ("2.5", '"2.5"'),
        ('"all"', "1"),
        ("match = [{", "match = [{ nonsense = 1,"),
        ('match = { busid = ["1-2*"] }', ""),
        ('match = { busid = ["1-2*"] }', "match = []"),
        ("[[deny]]", "[deny]"),
        ('["::1", "127.0.0.1"]', str(["::1"] * 17)),
    ],
)
def test_policies(old: str, new: str) -> None:
    policy = Draft202012Validator(SCHEMA_OF["policy/1"])
    policy.validate(tomllib.loads(POLICY))
    assert reads(POLICY_KIND, POLICY)
    text = POLICY.replace(old, new)
    assert text != POLICY
    assert not policy.is_valid(tomllib.loads(text))
    assert not reads(POLICY_KIND, text)


def test_what_the_documentation_says_of_a_key() -> None:
    page = (
        "# Page\n### At the top\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n"
        "| `name` | text | x | the *name* |\n\nText\n### [a.b]\n| Key | Value |\n| --- | --- |\n"
        "| `c`, `d` | 1 to `2` |\n## Another\n| File | Holds |\n| --- | --- |\n| `x` | y |\n"
    )
    words = documented_keys(page)
    assert words == {("name",): "the name", ("a", "b", "c"): "1 to 2", ("a", "b", "d"): "1 to 2"}
    assert words_for(words, ("match", "not", "name")) == "the name"
    assert words_for(words, ("other",)) is None
