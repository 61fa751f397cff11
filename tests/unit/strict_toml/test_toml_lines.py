import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.strict_toml.faults import KeyPath
from gadgetip.strict_toml.toml_lines import key_lines
from tests.unit.profiles.files import CONTRACT


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """The path of everything in a document, as the parser has read it."""
    found = {path} if path else set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= paths_of(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found |= paths_of(inner, (*path, index))
    return found


def test_every_key_of_a_profile() -> None:
    lines = key_lines(CONTRACT, "p.toml")
    assert set(lines) == paths_of(tomllib.loads(CONTRACT))
    text = CONTRACT.splitlines()
    for path, line in lines.items():
        (*_, key) = (part for part in path if isinstance(part, str))
        assert key in text[line - 1]


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb = 2", ("b",), 2),
        ("a = '''\n\nb = 3\n'''\nb = 2", ("b",), 5),
        ('a = """\n\\"""\nb = 3\n"""\nb = 2', ("b",), 5),
        ('a = """b"""""\nb = 2', ("b",), 2),
        ('a = """"b"" """\nb = 2', ("b",), 2),
        ("a = ''''b'''''\nb = 2", ("b",), 2),
        ('a = ""\nb = 2', ("b",), 2),
        ('a = "\\"#"\nb = 2', ("b",), 2),
        ("a = 1 # [x]\r\n\r\n[t]\r\nb = 2", ("t", "b"), 4),
        ("[t.u]\nb.c = 2", ("t", "u", "b", "c"), 2),
        ("[[t]]\n[[t]]\nb = 2", ("t", 1, "b"), 3),
        ("[[t]]\n[[t.u]]\n[[t]]\n[[t.u]]\nb = 2", ("t", 1, "u", 0, "b"), 5),
        ("[[t]]\n[t.not]\nb = 2", ("t", 0, "not", "b"), 3),
        ("a = [ # ]\n 1,\n\n { b = 2 },\n]\nc = 1", ("a", 1, "b"), 4),
        ("a = [ # ]\n 1,\n\n { b = 2 },\n]\nc = 1", ("c",), 6),
        ("a = 1979-05-27 07:32:00 # x\nb = 1", ("b",), 2),
        ('"a\\u0062" = 1', ("ab",), 1),
        ("[ 'a b' . c ]\n d = 1", ("a b", "c", "d"), 2),
    ],
)
def test_lines(text: str, path: KeyPath, line: int) -> None:
    assert path in paths_of(tomllib.loads(text))
    assert key_lines(text, "p.toml")[path] == line


KEYS = st.sampled_from(["a", "b-1", '"q. ]#="', "'l\"'", '"\\""', "1"])
STRINGS = st.sampled_from(
    ["'#'", "'''\n]'x''\n'''", '"\\\\"', '"}\\"]"', '"""\n"" \\""" = [\n"""', "''", '""""""']
)
SCALARS = STRINGS | st.sampled_from(["1", "0xff", "-1.5e3", "true", "1979-05-27 07:32:00Z", "inf"])
BLANKS = st.sampled_from(["", " ", "\n", " # ]},\n", "\t\r\n"])


@st.composite
def lists(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    elements = draw(st.lists(inner, max_size=3))
    parts = [draw(BLANKS) + element + draw(BLANKS) for element in elements]
    comma = draw(st.sampled_from(["", ","])) if parts else ""
    return f"[{','.join(parts)}{comma}{draw(BLANKS)}]"


def inline_tables(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(KEYS, inner), max_size=3, unique_by=lambda pair: pair[0])
    return pairs.map(lambda found: "{ " + ", ".join(f"{k} = {v}" for k, v in found) + " }")


VALUES = st.recursive(SCALARS, lambda v: lists(v) | inline_tables(v), max_leaves=6)
HEADERS = st.lists(KEYS, min_size=1, max_size=2).map(" . ".join)
STATEMENTS = st.one_of(
    st.builds("{} = {}".format, HEADERS, VALUES),
    HEADERS.map("[{}]".format),
    HEADERS.map("[[{}]]".format),
    st.just("# 'it\"s"),
    st.just(""),
)


@given(st.lists(STATEMENTS, max_size=12).map("\n".join))
def test_the_scan_sees_what_the_parser_sees(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        key_lines(text, "p.toml")
        return
    lines = key_lines(text, "p.toml")
    assert set(lines) == paths_of(document)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), VALUES), unique_by=lambda pair: pair[0]))
def test_each_key_is_in_its_line(pairs: list[tuple[str, str]]) -> None:
    line = 1
    lines = key_lines("\n".join(f"{key} = {value}" for key, value in pairs), "p.toml")
    for key, value in pairs:
        assert lines[key,] == line
        line += value.count("\n") + 1
