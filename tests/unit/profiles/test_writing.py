import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.profiles import GENERIC, Profile, parse_profile, profile_files
from gadgetip.profiles.writing import profile_text, toml_text
from tests.unit.profiles.files import CONTRACT, HEAD

from .strategies import profiles

SHIPPED = {each.name: each.load() for each in profile_files(None)}


@given(profiles())
def test_what_is_written_is_read_back(profile: Profile) -> None:
    assert parse_profile(profile_text(profile), "p.toml") == profile


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_shipped_ones(name: str) -> None:
    assert parse_profile(profile_text(SHIPPED[name]), "p.toml") == SHIPPED[name]


def test_what_is_automatic_is_not_written() -> None:
    assert profile_text(Profile("x")) == HEAD
    assert profile_text(GENERIC).splitlines() == [
        'schema = "profile/1"',
        'name = "generic"',
        'summary = "Everything automatic"',
    ]


def test_a_whole_profile() -> None:
    whole = parse_profile(CONTRACT, "p.toml")
    text = profile_text(whole)
    assert '[[match]]\nid = "0483:5740"\nclass = "02/02/*"\nnot = { serial = "TEST*" }\n' in text
    assert '[[endpoint]]\naddress = 0x82\nshaper = "packet"\nwindow_urbs = 16\n' in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_toml_string(text: str) -> None:
    assert tomllib.loads(f"x = {toml_text(text)}") == {"x": text}
