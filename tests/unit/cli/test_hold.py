"""`attach --hold`: what it takes, what it asks for, and what it says."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadgetip.attachment import Listener
from gadgetip.errors import ExitStatus
from gadgetip.matching import DeviceFacts
from gadgetip.profiles import MAX_HOLD_S, Profile, ProfileChoice

from .running import Command

HOSTILE = "silence\x1b]0;owned\x07\n\u202e"


class Attached:
    """The profile that was asked for, of an attachment that is lost, comes back and is stopped."""

    profile: Profile

    def __call__(self, *arguments: object) -> None:
        profile_for, listener = self._wishes(arguments)
        self.profile = profile_for(DeviceFacts())
        listener.held(HOSTILE, self.profile.link.hold_s)
        listener.resumed(1.23456)

    def _wishes(self, arguments: Iterable[object]) -> tuple[ProfileChoice, Listener]:
        _, _, _, profile_for, listener, *_ = arguments
        assert callable(profile_for)
        assert isinstance(listener, Listener)
        return profile_for, listener


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> Attached:
    seen = Attached()
    monkeypatch.setattr("gadgetip.cli.attach.attach_to_gadget", seen)
    return seen


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("0.5", 0.5), ("1e3", 1000), (str(MAX_HOLD_S), MAX_HOLD_S)]
)
def test_it_holds_for_as_long_as_it_is_told(
    gadgetip: Command, attached: Attached, text: str, seconds: float
) -> None:
    assert gadgetip("attach", "nas", "1-2", "--hold", text).status == 0
    link = attached.profile.link
    assert (link.on_loss, link.hold_s, link.insists) == ("hold", seconds, False)


@pytest.mark.parametrize("arguments", [[], ["--hold", "0"], ["--hold", "-0"]])
def test_it_unplugs_where_it_is_not_told(
    gadgetip: Command, attached: Attached, arguments: list[str]
) -> None:
    assert gadgetip("attach", "nas", "1-2", *arguments).status == 0
    assert (attached.profile.link.on_loss, attached.profile.link.hold_s) == ("unplug", 0)


def test_it_goes_before_the_profile(gadgetip: Command, attached: Attached, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'schema = "profile/1"\nname = "mine"\n[link]\non_loss = "hold"\nhold_s = 7\n'
        "control_timeout_ms = 900\n"
    )
    own = ["attach", "nas", "1-2", "--profile", str(file)]
    assert gadgetip(*own).status == 0
    link = attached.profile.link
    assert (link.on_loss, link.hold_s) == ("hold", 7)
    insists = link.insists
    assert gadgetip(*own, "--hold", "20").status == 0
    link = attached.profile.link
    assert (link.on_loss, link.hold_s, link.control_timeout_ms) == ("hold", 20, 900)
    assert link.insists is insists
    assert gadgetip(*own, "--hold", "0").status == 0
    assert attached.profile.link.on_loss == "unplug"


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "-1", "-0.001", "86401", "1e99", "9" * 400, "", "soon", "30s"]
)
def test_what_is_no_time_to_hold(gadgetip: Command, attached: Attached, text: str) -> None:
    run = gadgetip("attach", "nas", "1-2", f"--hold={text}")
    assert run.status == ExitStatus.USAGE
    assert f"it has to be 0 to {MAX_HOLD_S} seconds" in run.err
    assert "Traceback" not in run.err
    assert not hasattr(attached, "profile")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=20).filter(lambda text: "\0" not in text))
def test_any_text_is_a_time_or_a_usage_error(
    gadgetip: Command, attached: Attached, text: str
) -> None:
    run = gadgetip("attach", "nas", "1-2", f"--hold={text}")
    assert run.status in {0, ExitStatus.USAGE}
    assert run.err.replace("\n", "").isprintable()


def test_the_kernel_holds_nothing(gadgetip: Command, attached: Attached) -> None:
    for arguments in (["nas", "1-2", "--to", "vhci"], ["-r", "nas", "-b", "1-2"]):
        run = gadgetip("attach", *arguments, "--hold", "10")
        assert run.status == ExitStatus.USAGE
        assert "--hold goes with --to gadget" in run.err


def test_what_it_says(gadgetip: Command, attached: Attached) -> None:
    del attached
    run = gadgetip("attach", "nas", "1-2", "--hold", "10")
    held, resumed, stopped = run.out.splitlines()
    assert held.startswith("silence")
    assert held.endswith("; the host keeps its device for 10 s")
    assert resumed == "the device is back after 1.2 s, and the host goes on"
    assert stopped == "stopped; the replica is unplugged"
    assert (run.out + run.err).replace("\n", "").isprintable()


def test_what_it_says_to_programs(gadgetip: Command, attached: Attached) -> None:
    del attached
    run = gadgetip("attach", "nas", "1-2", "--hold", "10", "--json")
    held, resumed, stopped = map(json.loads, run.out.splitlines())
    assert held == {"event": "held", "reason": HOSTILE, "limit_s": 10.0}
    assert resumed == {"event": "resumed", "after_s": 1.235}
    assert stopped["event"] == "stopped"
