import json
from pathlib import Path

import pytest

from gadgetip.cli import serve as serve_module
from gadgetip.cli.output import Output
from gadgetip.cli.serve import _Lines
from gadgetip.errors import PrerequisiteError
from gadgetip.server.daemon import ServeOptions
from gadgetip.server.narrator import Narrator
from tests.unit.cli.running import Command


class ScriptedDaemon:
    """Tells one thing of each kind and ends."""

    options: ServeOptions
    failure: Exception | None = None

    def __init__(self, options: ServeOptions, narrator: Narrator) -> None:
        type(self).options = options
        self._narrator = narrator

    async def run(self) -> None:
        if self.failure:
            raise self.failure
        self._narrator.tell("exported", "stick\nis exported", busid="1-1", rule="r")
        self._narrator.warn("refused", "192.0.2.1:5 was closed", client="192.0.2.1:5")
        self._narrator.warn("error", "1-1: it hangs")


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedDaemon]:
    monkeypatch.setattr(serve_module, "Daemon", ScriptedDaemon)
    monkeypatch.setattr(ScriptedDaemon, "failure", None)
    return ScriptedDaemon


def test_lines_for_people(gadgetip: Command, daemon: type[ScriptedDaemon]) -> None:
    run = gadgetip("serve", "--listen", "127.0.0.1", "--listen", "::1", "--port", "3241")
    assert run.status == 0
    assert run.out == "stick\\nis exported\nstopped\n"
    assert run.err == "note: 192.0.2.1:5 was closed\ngadgetip: 1-1: it hangs\n"
    assert daemon.options == ServeOptions(listen=("127.0.0.1", "::1"), port=3241)


def test_events_for_programs(gadgetip: Command, daemon: type[ScriptedDaemon]) -> None:
    run = gadgetip("--json", "serve", "--policy", "p.toml", "--stub", "kernel")
    events = [json.loads(line) for line in run.out.splitlines()]
    assert [event["event"] for event in events] == ["exported", "refused", "error", "stopped"]
    assert events[0]["busid"] == "1-1"
    assert daemon.options == ServeOptions(policy_file=Path("p.toml"), stub="kernel")


def test_what_is_missing_is_the_exit_status(
    gadgetip: Command, daemon: type[ScriptedDaemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "failure", PrerequisiteError("the kernel's stub needs root"))
    run = gadgetip("serve")
    assert run.status == 6
    assert run.err == "gadgetip: the kernel's stub needs root\n"


def test_whoever_reads_our_lines_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise BrokenPipeError

    output = Output()
    monkeypatch.setattr(Output, "say", lambda self, text: broken(text))
    _Lines(output).tell("exported", "x")


def test_the_help_says_that_nothing_is_encrypted(gadgetip: Command) -> None:
    run = gadgetip("serve", "--help")
    assert run.status == 0
    assert "neither encrypted nor authenticated" in run.out
