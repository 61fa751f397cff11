"""What a shell offers, asked as a shell does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .running import Command

CONFIG = """schema = "config/1"
[[attachment]]
name = "stick"
server = "nas.lan"
match = { id = "0781:5581" }
[[attachment]]
name = "programmer"
server = "nas.lan"
match = { id = "0483:5740" }
"""
Offered = Callable[..., list[str]]


@pytest.fixture
def offered(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """What bash is told behind these words; the last is the one that is not finished."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_GADGETIP_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("gadgetip", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        run = gadgetip()
        assert (run.status, run.err) == (0, "")
        return [line.split(",")[1] for line in run.out.splitlines() if line]

    return ask


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "gadgetip.toml"
    file.write_text(CONFIG)
    monkeypatch.setattr("gadgetip.supervisor.config.CONFIG_FILE", file)
    return file


@pytest.mark.parametrize("command", ["status", "start", "stop", "restart", "log"])
def test_attachments(offered: Offered, config: Path, command: str) -> None:
    assert offered(command, "") == ["stick", "programmer"]
    assert offered(command, "st") == ["stick"]
    assert offered(command, "x") == []


def test_attachments_that_are_named_already(offered: Offered, config: Path) -> None:
    assert offered("stop", "stick", "") == ["programmer"]


def test_another_configuration(offered: Offered, config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("stick", "disk"))
    assert offered("--config", str(other), "stop", "d") == ["disk"]
    assert offered("stop", "--config", str(other), "d") == ["disk"]


@pytest.mark.parametrize("text", [None, "schema = ", CONFIG.replace("server", "servr")])
def test_a_configuration_that_cannot_be_read(
    offered: Offered, config: Path, text: str | None
) -> None:
    config.unlink()
    if text is not None:
        config.write_text(text)
    assert offered("stop", "") == []


@pytest.mark.parametrize(
    "words", [["profile", "show"], ["profile", "export"], ["attach", "nas", "1-1", "--profile"]]
)
def test_profiles(offered: Offered, words: list[str]) -> None:
    assert offered(*words, "mass") == ["mass-storage"]
    assert "generic" in offered(*words, "")


def test_roles(offered: Offered) -> None:
    assert offered("doctor", "") == ["server", "board", "client"]
    assert offered("doctor", "b") == ["board"]
    assert offered("doctor", "board", "") == []
