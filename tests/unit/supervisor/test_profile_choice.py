from pathlib import Path

import pytest

from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, MatchSelector
from gadgetip.profiles import LinkWishes, Profile
from gadgetip.strict_toml import FileError
from gadgetip.supervisor.config import ConfiguredAttachment
from gadgetip.supervisor.profile_choice import named_profile, profile_of, wished_udc

FACTS = DeviceFacts(id="0781:5581")


def choose(**wishes: object) -> LinkWishes:
    configured = ConfiguredAttachment(
        "a",
        HostAddress("nas"),
        MatchSelector(()),
        **wishes,  # type: ignore[arg-type]
    )
    chosen: list[Profile] = []
    profile = profile_of(configured, FACTS, chosen.append)
    assert chosen == [profile]
    return profile.link


def asked(link: LinkWishes) -> tuple[str, float]:
    return link.on_loss, link.hold_s


def test_the_attachment_goes_before_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('schema = "profile/1"\nname = "own"\n[link]\non_loss = "hold"\nhold_s = 5\n')
    assert asked(choose(profile=str(file))) == ("hold", 5)
    assert asked(choose(profile=str(file), hold_s=30.0)) == ("hold", 30.0)
    assert asked(choose(profile=str(file), on_loss="unplug")) == ("unplug", 0)
    assert asked(choose(on_loss="hold", hold_s=3.0)) == ("hold", 3.0)
    # Alone it says for how long, and not whether.
    assert asked(choose(hold_s=3.0)) == ("unplug", 0)
    assert choose(profile=str(file)).insists
    assert not choose(on_loss="hold", hold_s=3.0).insists
    with pytest.raises(FileError, match="no profile"):
        choose(profile="none-of-this-name")


def test_the_controller_of_a_named_profile(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('schema = "profile/1"\nname = "own"\n[gadget]\nudc = "u2"\n')

    def wished(**wishes: str) -> str | None:
        configured = ConfiguredAttachment(
            "a",
            HostAddress("nas"),
            MatchSelector(()),
            **wishes,  # type: ignore[arg-type]
        )
        return wished_udc(configured, named_profile(configured))

    assert wished() is None
    assert wished(profile=str(file)) == "u2"
    assert wished(profile=str(file), udc="u1") == "u1"
    assert wished(profile=str(tmp_path / "none.toml")) is None
    assert wished(profile="generic") is None
