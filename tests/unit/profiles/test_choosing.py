import logging
import re
from pathlib import Path

import pytest

from gadgetip.matching import DeviceFacts
from gadgetip.profiles import GENERIC, choose_profile
from gadgetip.strict_toml import FileError

RARE = DeviceFacts("1-1", "1209:beef", "S1", ("thing",), ("ff/12/34",))
"""A device that no shipped profile is for."""
STICK = DeviceFacts("1-1", "0781:5581", "S1", ("Ultra",), ("00/00/00", "08/06/50"))


def write(directory: Path, name: str, body: str) -> None:
    (directory / f"{name}.toml").write_text(f'schema = "profile/1"\nname = "{name}"\n{body}')


def chosen(own: Path, facts: DeviceFacts = RARE) -> str:
    return choose_profile("auto", facts, own).name


def test_nothing_fits(tmp_path: Path) -> None:
    write(tmp_path, "other", 'match = { id = "1209:0001" }')
    write(tmp_path, "for-whoever-names-it", "")
    assert choose_profile("auto", RARE, tmp_path) == GENERIC
    assert choose_profile("auto", DeviceFacts(), tmp_path) == GENERIC


def test_the_most_specific_wins(tmp_path: Path) -> None:
    write(tmp_path, "by-class", 'match = { class = "ff/12/34" }')
    assert chosen(tmp_path) == "by-class"
    write(tmp_path, "by-id", 'match = { id = "1209:beef" }')
    assert chosen(tmp_path) == "by-id"
    write(tmp_path, "by-serial", 'match = [{ id = "1209:0001" }, { serial = "S*" }]')
    assert chosen(tmp_path) == "by-serial"


def test_a_profile_that_is_named_need_not_fit(tmp_path: Path) -> None:
    write(tmp_path, "other", 'match = { id = "1209:0001" }')
    assert choose_profile("other", RARE, tmp_path).name == "other"
    assert choose_profile(str(tmp_path / "other.toml"), RARE).name == "other"
    with pytest.raises(FileError, match="there is no profile"):
        choose_profile("none", RARE, tmp_path)


def test_a_tie_names_both_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, name, 'match = { id = "1209:beef" }')
    said = rf"the profiles one and two fit .*{re.escape(str(tmp_path))}/one\.toml, .*two\.toml\)"
    with pytest.raises(FileError, match=said):
        chosen(tmp_path)


def test_the_owners_goes_before_a_shipped_one_that_fits_as_well(tmp_path: Path) -> None:
    shipped = choose_profile("auto", STICK, tmp_path)
    assert shipped.name == "mass-storage"
    write(tmp_path, "my-sticks", 'match = { class = "08/*/*", not = { serial = "x" } }')
    assert chosen(tmp_path, STICK) == "my-sticks"


def test_only_the_owner_insists_on_holding(tmp_path: Path) -> None:
    shipped = choose_profile("auto", STICK, tmp_path)
    assert (shipped.link.on_loss, shipped.link.insists) == ("hold", False)
    assert choose_profile("mass-storage", STICK, tmp_path).link.insists
    hold = '[match]\nid = "1209:beef"\n[link]\non_loss = "hold"\nhold_s = 1\n'
    write(tmp_path, "mine", hold)
    assert choose_profile("auto", RARE, tmp_path).link.insists


def test_the_owners_hides_a_shipped_one_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, "mass-storage", 'match = { id = "1209:0001" }')
    assert choose_profile("auto", STICK, tmp_path) == GENERIC


def test_a_broken_file_is_said_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "good", 'match = { id = "1209:beef" }')
    write(tmp_path, "bad", 'match = { id = "1209:beef" }\n\nnonsense = 1')
    write(tmp_path, "mass-storage", "nonsense = 1")
    (tmp_path / "wrong-name.toml").write_text('schema = "profile/1"\nname = "x"\n')
    with caplog.at_level(logging.WARNING):
        assert chosen(tmp_path) == "good"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert all(line.endswith(": this profile is not used") for line in said)
    assert said[0].startswith(f"{tmp_path}/bad.toml:5: a profile has no key nonsense")
    assert said[1].startswith(f"{tmp_path}/mass-storage.toml:3: a profile has no key nonsense")
    assert said[2].startswith(f"{tmp_path}/wrong-name.toml: the profile in it is named x")
    # The owner did not want the shipped one, whatever was meant instead.
    assert choose_profile("auto", STICK, tmp_path) == GENERIC
    with pytest.raises(FileError, match=r"bad\.toml:5"):
        choose_profile("bad", RARE, tmp_path)


def test_a_directory_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with caplog.at_level(logging.WARNING):
        assert choose_profile("auto", STICK, loop).name == "mass-storage"
    (record,) = caplog.records
    assert "no profile in there is used" in record.getMessage()


def test_what_is_not_known_does_not_fit(tmp_path: Path) -> None:
    write(tmp_path, "by-serial", 'match = { serial = "S1" }')
    assert chosen(tmp_path) == "by-serial"
    assert chosen(tmp_path, DeviceFacts(id="1209:beef", classes=("ff/12/34",))) == "generic"
