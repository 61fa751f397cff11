import re
from pathlib import Path

import pytest

from gadgetip.profiles import GENERIC, Profile, load_profile, profile_files
from gadgetip.profiles.toml_form import parse_profile
from gadgetip.strict_toml import FileError
from tests.unit.profiles.files import HEAD

SHIPPED = Path(__file__).parents[3] / "configfs_profiles"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "x.toml").write_text(HEAD)
    return tmp_path


def test_by_name(own: Path) -> None:
    assert load_profile("x", own) == Profile("x")
    assert load_profile("generic", own) == GENERIC
    files = {each.name: (each.shipped, each.hides) for each in profile_files(own)}
    assert files["generic"] == (True, False)
    assert files["x"] == (False, False)
    assert "x" not in {each.name for each in profile_files(None)}


def test_by_path(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "other.toml").write_text(HEAD)
    assert load_profile(str(own / "other.toml")) == Profile("x")
    monkeypatch.chdir(own)
    assert load_profile("other.toml") == Profile("x")
    (own / "plain").write_text(HEAD)
    assert load_profile("./plain") == Profile("x")


def test_the_owners_hide_the_shipped(own: Path) -> None:
    (own / "generic.toml").write_text(HEAD.replace('"x"', '"generic"') + 'summary = "mine"')
    assert load_profile("generic", own).summary == "mine"
    (file,) = (each for each in profile_files(own) if each.name == "generic")
    assert (file.shipped, file.hides) == (False, True)


def test_without_a_directory(tmp_path: Path) -> None:
    assert load_profile("generic", tmp_path / "none") == GENERIC
    (tmp_path / "file").touch()
    assert load_profile("generic", tmp_path / "file") == GENERIC


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("genric", 'there is no profile "genric": did you mean generic?'),
        ("nothing-like-it", "known are "),
        ("auto", "there is no profile"),
        ("", "there is no profile"),
        ("..", "there is no profile"),
        ("\x1b\ud800", "there is no profile"),
        ("/nowhere/x", "/nowhere/x: No such file or directory"),
        ("nowhere.toml", "nowhere.toml: No such file or directory"),
        ("/", "/: Is a directory"),
        ("a\0/b", "this is no path"),
        ("\ud800/b", "b: "),
        ("y" * 5000 + "/x", "File name too long"),
    ],
)
def test_what_is_not_found(own: Path, name: str, said: str) -> None:
    with pytest.raises(FileError, match=re.escape(said)) as error:
        load_profile(name, own)
    assert str(error.value).isprintable()


def test_a_file_has_its_profiles_name(own: Path) -> None:
    (own / "copy.toml").write_text(HEAD)
    with pytest.raises(FileError, match=r"copy\.toml: the profile in it is named x"):
        load_profile("copy", own)


def test_faults_name_the_file(own: Path) -> None:
    (own / "bad.toml").write_text(HEAD + "x = 1")
    with pytest.raises(FileError, match=r"/bad\.toml:3: a profile has no key x"):
        load_profile("bad", own)


def test_endless_files_end() -> None:
    with pytest.raises(FileError, match="it is a device, not a regular file"):
        load_profile("/dev/zero")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_profiles(path: Path) -> None:
    assert load_profile(path.stem, Path("/nowhere")).summary


def test_the_generic_profile_shows_every_key() -> None:
    text = (SHIPPED / "generic.toml").read_text()
    examples = re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)
    profile = parse_profile(examples, "examples")
    (match,), (interface,), (endpoint,) = profile.matches, profile.interfaces, profile.endpoints
    identity = profile.gadget.identity
    for wishes in (profile, match, identity, interface, endpoint, profile.gadget, profile.link):
        for name in wishes.__slots__:
            assert getattr(wishes, name) not in (None, ()), f"{name} is not shown"
