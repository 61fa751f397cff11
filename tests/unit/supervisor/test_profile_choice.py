from pathlib import Path

import pytest

from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, MatchSelector
from gadgetip.profiles import LinkWishes, Profile
from gadgetip.strict_toml import FileError
from gadgetip.supervisor.config import ConfiguredAttachment
from gadgetip.supervisor.profile_choice import profile_of

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


def test_the_attachment_goes_before_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('schema = "profile/1"\nname = "own"\n[link]\non_loss = "hold"\nhold_s = 5\n')
    assert choose(profile=str(file)) == LinkWishes("hold", 5)
    assert choose(profile=str(file), hold_s=30.0) == LinkWishes("hold", 30.0)
    assert choose(profile=str(file), on_loss="unplug") == LinkWishes("unplug", 5)
    assert choose(on_loss="hold", hold_s=3.0) == LinkWishes("hold", 3.0)
    with pytest.raises(FileError, match="no profile"):
        choose(profile="none-of-this-name")
