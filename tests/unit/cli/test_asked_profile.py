"""What --profile, --backend and --hold make of a device's profile."""

from functools import partial
from pathlib import Path

import pytest

from gadgetip.cli.arguments import AskedProfile, ProfileType
from gadgetip.matching import DeviceFacts
from gadgetip.profiles import GENERIC, choose_profile

STICK = DeviceFacts("1-1", "0781:5581", "S1", ("Ultra",), ("00/00/00", "08/06/50"))
HOLDING = '[match]\nid = "0781:5581"\n[link]\non_loss = "hold"\nhold_s = 7\n'


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    choose = partial(choose_profile, own=tmp_path)
    monkeypatch.setattr("gadgetip.cli.arguments.choose_profile", choose)
    return tmp_path


def write(directory: Path, body: str) -> Path:
    file = directory / "mine.toml"
    file.write_text(f'schema = "profile/1"\nname = "mine"\n{body}')
    return file


@pytest.mark.usefixtures("own")
def test_a_shipped_profile_holds_nothing_in_the_foreground() -> None:
    """Whoever waits for exit status 4 gets it at once."""
    chosen = AskedProfile()(STICK)
    assert (chosen.name, chosen.link.on_loss) == ("mass-storage", "unplug")
    written = AskedProfile().as_written(STICK)
    assert (written.link.on_loss, written.link.hold_s) == ("hold", 10)


@pytest.mark.usefixtures("own")
def test_hold_at_the_command_line() -> None:
    chosen = AskedProfile(hold=30)(STICK)
    assert (chosen.link.on_loss, chosen.link.hold_s) == ("hold", 30)
    assert not chosen.link.insists


def test_what_the_owner_wrote_is_held(own: Path) -> None:
    file = write(own, HOLDING)
    for asked in (AskedProfile(), ProfileType().convert(str(file), None, None)):
        chosen = asked(STICK)
        assert (chosen.name, chosen.link.on_loss, chosen.link.hold_s) == ("mine", "hold", 7)
        assert chosen.link.insists
    assert AskedProfile(hold=0)(STICK).link.on_loss == "unplug"


def test_a_shipped_profile_that_is_named_holds() -> None:
    chosen = ProfileType().convert("mass-storage", None, None)(STICK)
    assert (chosen.link.on_loss, chosen.link.hold_s) == ("hold", 10)


def test_what_is_not_held_is_as_it_is_written() -> None:
    assert ProfileType().convert("generic", None, None)(STICK) == GENERIC
    assert ProfileType().convert("auto", None, None) == AskedProfile()


def test_the_command_lines_backend_goes_first(own: Path) -> None:
    write(own, '[match]\nid = "0781:5581"\n[gadget]\nbackend = "functionfs"\n')
    assert AskedProfile()(STICK).gadget.backend == "functionfs"
    assert AskedProfile(backend="gadgetfs")(STICK).gadget.backend == "gadgetfs"
