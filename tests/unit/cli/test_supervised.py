"""The commands that talk to the supervisor; what it answers is scripted."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.cli import supervisor_client
from gadgetip.cli.output import Output
from gadgetip.cli.run import Lines
from gadgetip.cli.status_text import duration, row, size
from gadgetip.errors import GadgetipError
from gadgetip.service.asking import NoAnswerError, Service
from gadgetip.service.journal import Journal

from .running import Command

STICK: dict[str, Any] = {
    "name": "stick",
    "state": "running",
    "since": 1000.0,
    "reason": None,
    "server": "nas.lan",
    "match": "id=0781:5581",
    "to": "gadget",
    "udc": "u1",
    "port": None,
    "busid": "1-1",
    "id": "0781:5581",
    "device": "SanDisk Ultra",
    "backend": "functionfs",
    "profile": "generic",
    "host_configured": True,
    "speed": "high-speed",
    "traffic": {
        "bytes_in": 1234567,
        "bytes_out": 0,
        "urbs_in": 321,
        "urbs_out": 123,
        "discarded": 1024,
        "halts": 5,
        "errors": 4,
        "round_trip_ms": 1.26,
    },
    "restarts": 3,
    "losses": 2,
    "pid": 10,
    "worker_pid": 11,
}
AWAITED = {
    **STICK,
    **dict.fromkeys(("udc", "busid", "id", "device", "speed", "traffic", "host_configured")),
    "name": "programmer",
    "state": "waiting for device",
    "reason": "no device\x1b[2J",
    "to": "vhci",
}


class Asked:
    """What was asked, and what is answered."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | None = {}
        self.error: GadgetipError | None = None

    def __call__(self, _: Service, request: dict[str, Any], __: float) -> dict[str, Any] | None:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(supervisor_client, "ask", asked)
    return asked


def test_status(gadgetip: Command, asked: Asked) -> None:
    asked.answer = {"ok": True, "supervisor": {"pid": 1}, "attachments": [STICK, AWAITED]}
    run = gadgetip("status")
    header, stick, awaited, reason = run.out.splitlines()
    assert header.split()[:4] == ["NAME", "STATE", "SINCE", "DEVICE"]
    assert "SanDisk Ultra (0781:5581, 1-1)" in stick
    assert stick.split()[-9:] == ["1.23", "MB", "0", "B", "1.3", "ms", "4", "2", "3"]
    assert header.split()[-4:] == ["RTT", "ERRORS", "LOSSES", "RESTARTS"]
    assert "(id=0781:5581 of nas.lan)" in awaited
    assert reason == "programmer: no device\\x1b[2J"
    assert asked.requests == [{"command": "status", "names": []}]
    run = gadgetip("status", "stick", "--json")
    assert json.loads(run.out) == {"supervisor": {"pid": 1}, "attachments": [STICK, AWAITED]}
    assert asked.requests[-1]["names"] == ["stick"]


def test_status_of_one_says_what_else_was_counted(gadgetip: Command, asked: Asked) -> None:
    on_vhci = {
        **STICK,
        "name": "port",
        "traffic": dict.fromkeys(STICK["traffic"]) | {"bytes_in": 7, "bytes_out": 8},
    }
    asked.answer = {"supervisor": {"pid": 1}, "attachments": [STICK, AWAITED, on_vhci]}
    figures = [
        "stick: URBs 321 in, 123 out; 4 failed, 5 halts, 1.02 kB discarded",
        "port: URBs - in, - out; - failed, - halts, - discarded",
    ]
    for arguments in (["status", "stick"], ["status", "-v"], ["-v", "status"]):
        assert gadgetip(*arguments).out.splitlines()[-2:] == figures
    assert not any("URBs" in line for line in gadgetip("status").out.splitlines())


def test_nothing_is_configured(gadgetip: Command, asked: Asked) -> None:
    asked.answer = {"supervisor": {"config": "/etc/g.toml"}, "attachments": []}
    assert gadgetip("status").out == "/etc/g.toml lists no attachment\n"


@pytest.mark.parametrize(
    ("command", "done"), [("start", "started"), ("stop", "stopped"), ("restart", "restarted")]
)
def test_start_and_stop(gadgetip: Command, asked: Asked, command: str, done: str) -> None:
    asked.answer = {"ok": True, "names": ["a", "b"]}
    assert gadgetip(command, "a", "b").out == f"{done}: a, b\n"
    assert json.loads(gadgetip(command, "--all", "--json").out) == {done: ["a", "b"]}
    assert asked.requests == [
        {"command": command, "names": ["a", "b"]},
        {"command": command, "names": []},
    ]
    for wrong in ([command], [command, "a", "--all"]):
        assert gadgetip(*wrong).status == 2
    asked.error = GadgetipError("no attachment is called 'a'")
    run = gadgetip(command, "a")
    assert (run.status, run.err) == (1, "gadgetip: no attachment is called 'a'\n")


def test_reload(gadgetip: Command, asked: Asked) -> None:
    asked.answer = {"ok": True, "added": ["a"], "removed": [], "changed": ["b", "c"]}
    assert gadgetip("reload").out == "added: a\nchanged: b, c\n"
    assert json.loads(gadgetip("reload", "--json").out)["changed"] == ["b", "c"]
    asked.answer = {"ok": True, "added": [], "removed": [], "changed": []}
    assert gadgetip("reload").out == "no attachment changed\n"


def logged(*lines: tuple[int, str], newest: int, since: float = 1.0) -> dict[str, Any]:
    """What the supervisor that was started then answers."""
    shown = [{"number": number, "at": 0.0, "text": text} for number, text in lines]
    return {"ok": True, "supervisor": {"since": since}, "newest": newest, "lines": shown}


def test_log(gadgetip: Command, asked: Asked) -> None:
    asked.answer = logged((1, "bound"), newest=1)
    assert gadgetip("log", "stick", "-n", "5").out.endswith(":00 bound\n")
    assert asked.requests == [{"command": "log", "name": "stick", "lines": 5, "after": 0}]
    run = gadgetip("log", "stick", "--json")
    assert json.loads(run.out) == {"event": "log", "at": 0.0, "text": "bound"}


class Followed:
    """Answers one request after the other; then the supervisor says no."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any] | GadgetipError | None] = []
        self.requests: list[dict[str, Any]] = []

    def __call__(self, _: Service, request: dict[str, Any], __: float) -> dict[str, Any] | None:
        self.requests.append(request)
        if not self.answers:
            raise GadgetipError("no attachment is called 'stick'")
        answer = self.answers.pop(0)
        if isinstance(answer, GadgetipError):
            raise answer
        return answer


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Followed:
    followed = Followed()
    monkeypatch.setattr(supervisor_client, "ask", followed)
    monkeypatch.setattr(supervisor_client, "RETURN_POLL_S", 0.0)
    monkeypatch.setattr("gadgetip.cli.log.FOLLOW_S", 0.0)
    monkeypatch.setattr("gadgetip.cli.status.WATCH_S", 0.0)
    return followed


def test_followed_until_the_supervisor_says_no(gadgetip: Command, followed: Followed) -> None:
    followed.answers = [logged((7, "one"), newest=7), logged(newest=7)]
    assert gadgetip("log", "stick", "-f", "-n", "1").status == 1
    assert [(each["lines"], each["after"]) for each in followed.requests] == [
        *((1, 0), (1000, 7), (1000, 7))
    ]


def test_followed_from_now_on(gadgetip: Command, followed: Followed) -> None:
    followed.answers = [logged(newest=7), logged((8, "next"), newest=8)]
    run = gadgetip("log", "stick", "-n", "0", "-f")
    assert [(each["lines"], each["after"]) for each in followed.requests] == [
        *((0, 0), (1000, 7), (1000, 8))
    ]
    assert run.out.endswith(":00 next\n")


@pytest.mark.parametrize("newest", [3, 30])
def test_followed_over_a_restart_of_the_supervisor(
    gadgetip: Command, followed: Followed, newest: int
) -> None:
    anew = logged((1, "new"), (newest, "newer"), newest=newest, since=2.0)
    cut = [(30, "newer")] if newest == 30 else []
    followed.answers = [
        logged((9, "old"), newest=9),
        *(None, NoAnswerError("gadgetip run ended while it was asked"), None),
        logged(*cut, newest=newest, since=2.0),
        anew,
        logged((newest + 1, "newest"), newest=newest + 1, since=2.0),
    ]
    run = gadgetip("log", "stick", "-f")
    texts = [line.rsplit(" ", 1)[1] for line in run.out.splitlines()]
    assert texts == ["old", "new", "newer", "newest"]
    assert run.err.splitlines() == [
        "note: the supervisor is away; waiting for it, 30 s at most",
        "gadgetip: no attachment is called 'stick'",
    ]


def test_followed_over_a_removal_of_the_attachment(gadgetip: Command, followed: Followed) -> None:
    followed.answers = [
        logged((9, "old"), newest=9),
        logged(newest=1),
        logged((1, "new"), newest=1),
    ]
    assert gadgetip("log", "stick", "-f").out.endswith(":00 new\n")


@pytest.mark.parametrize("command", [["log", "stick", "-f"], ["status", "--watch"]])
def test_a_supervisor_that_does_not_come_back(
    gadgetip: Command, followed: Followed, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(supervisor_client, "RETURN_LIMIT_S", 0.05)
    monkeypatch.setattr(supervisor_client, "RETURN_POLL_S", 0.01)
    answer = {**logged(newest=1), "attachments": [STICK]}
    followed.answers = [answer, *[None] * 1000]
    run = gadgetip(*command)
    assert run.status == 6
    assert "no supervisor runs here" in run.err
    assert len(followed.requests) > 2


def test_watched_over_a_restart_of_the_supervisor(gadgetip: Command, followed: Followed) -> None:
    answer = {"supervisor": {"pid": 1}, "attachments": [STICK]}
    followed.answers = [answer, None, {**answer, "attachments": [AWAITED]}]
    run = gadgetip("status", "--watch", "--json")
    shown = [json.loads(line) for line in run.out.splitlines()]
    names = [each["attachments"][0]["name"] for each in shown if "attachments" in each]
    assert (run.status, names) == (1, ["stick", "programmer"])


def test_nobody_is_waited_for_at_first(gadgetip: Command, followed: Followed) -> None:
    for command in (["log", "stick", "-f"], ["status", "--watch"]):
        followed.answers = [None]
        assert gadgetip(*command).status == 6
    assert len(followed.requests) == 2


def test_nobody_to_ask(gadgetip: Command, asked: Asked) -> None:
    asked.answer = None
    run = gadgetip("status")
    assert run.status == 6
    assert run.err.startswith("gadgetip: no supervisor runs here: `sudo systemctl start gadgetip`")


def test_without_a_configuration(
    gadgetip: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gadgetip.cli.run.CONFIG_FILE", tmp_path / "gadgetip.toml")
    run = gadgetip("run")
    assert run.status == 6
    assert "docs/configuration.md" in run.err
    (tmp_path / "bad.toml").write_text('schema = "config/1"\n[supervisor]\npoll = 1\n')
    for arguments in (["run", "--config"], ["--config"]):
        run = gadgetip(*arguments, str(tmp_path / "bad.toml"), *["run"][: 2 - len(arguments)])
        assert run.status == 1
        assert "bad.toml:3: [supervisor] has no key poll: did you mean poll_ms?" in run.err


def test_lines_for_the_journal_and_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        Lines(Output(), Journal(str(tmp_path / "socket")))("stick", "lost\x1b[2J: gone")
        entry = journal.recv(4096)
    assert b"MESSAGE=stick: lost\\x1b[2J: gone\n" in entry
    assert b"GADGETIP_NAME=stick\n" in entry
    assert capsys.readouterr().err == ""
    for lines in (Lines(Output(), None), Lines(Output(), Journal(str(tmp_path / "none")))):
        lines("", "the configuration was read again")
        assert capsys.readouterr().err == "the configuration was read again\n"
    Lines(Output(json=True), None)("stick", "bound")
    assert json.loads(capsys.readouterr().out)["attachment"] == "stick"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (172800, "2d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234567, "1.23 MB")],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@given(st.integers(0, 10**14))
def test_a_size_is_short(count: int) -> None:
    assert len(size(count)) <= 7


def test_a_port_of_this_machine() -> None:
    assert row({**AWAITED, "port": 3}, 1060.0)[4] == "port 3"
