"""`doctor` and `report` at the command line, about findings that are made up."""

import json
import os
from pathlib import Path

import pytest

from gadgetip.diagnosis import Diagnosis, Finding, Role, State
from gadgetip.errors import ExitStatus
from tests.unit.remote.server import Server

from .running import Command, served

OK = Finding("machine", "kernel", State.OK, "6.12")
WARNING = Finding("machine", "clock", State.WARNING, "wrong", "set it")
FAILED = Finding("board", "controller", State.FAILED, "n\x1b[2Jone", "buy one")


def found(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> list[object]:
    asked: list[object] = []

    def diagnose(role: Role | None, hosts: list[str]) -> Diagnosis:
        asked.extend([role, hosts])
        return Diagnosis((Role.BOARD,), findings)

    monkeypatch.setattr("gadgetip.cli.doctor.diagnose", diagnose)
    return asked


def test_lines(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, OK, WARNING, FAILED)
    run = gadgetip("doctor")
    assert run.status == ExitStatus.PREREQUISITE
    assert run.out.splitlines() == [
        "ok      machine, kernel: 6.12",
        "warning machine, clock: wrong",
        "        -> set it",
        r"FAILED  board, controller: n\x1b[2Jone",
        "        -> buy one",
        "looked at this machine as board: 1 failed, 1 warnings, 0 notes",
    ]


def test_quiet_tells_what_is_wrong(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, OK, WARNING)
    run = gadgetip("doctor", "-q")
    assert run.status == ExitStatus.DONE
    assert run.out.splitlines() == ["warning machine, clock: wrong", "        -> set it"]


def test_json(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, OK, FAILED)
    run = gadgetip("--json", "doctor")
    assert run.status == ExitStatus.PREREQUISITE
    told = json.loads(run.out)
    assert told["roles"] == ["board"]
    assert told["worst"] == "failed"
    assert told["findings"][0] == {
        "role": "machine",
        "subject": "kernel",
        "state": "ok",
        "found": "6.12",
        "remedy": "",
    }


@pytest.mark.parametrize(
    ("arguments", "role", "hosts"),
    [
        ([], None, []),
        (["server"], Role.SERVER, []),
        (["nas", "server"], None, ["nas", "server"]),
        (["client", "nas:3241", "[fd00::1]"], Role.CLIENT, ["nas:3241", "[fd00::1]"]),
    ],
)
def test_arguments(
    gadgetip: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    role: Role | None,
    hosts: list[str],
) -> None:
    asked = found(monkeypatch, OK)
    assert gadgetip("doctor", *arguments).status == 0
    assert asked == [role, hosts]


def test_what_is_no_host(gadgetip: Command) -> None:
    assert gadgetip("doctor", "nas:0").status == ExitStatus.USAGE


def test_a_server_that_answers_and_some_that_do_not(gadgetip: Command) -> None:
    with served(Server()) as host:
        run = gadgetip("--json", "doctor", "client", host, "127.0.0.1:9", "no-such-host.invalid")
    findings = {f["subject"]: f for f in json.loads(run.out)["findings"]}
    assert findings[f"server {host}"]["state"] in {"ok", "warning"}
    assert "answers after" in findings[f"server {host}"]["found"]
    assert "nothing listens" in findings["server 127.0.0.1:9"]["found"]
    assert "no address is known" in findings["server no-such-host.invalid"]["found"]
    assert run.status == ExitStatus.PREREQUISITE


def test_a_report(gadgetip: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = gadgetip("report")
    (file,) = tmp_path.iterdir()
    assert run.status == 0
    assert file.name.startswith(f"gadgetip-report-{os.uname().nodename}-")
    assert "==== Doctor" in file.read_text()
    assert run.out.startswith(f"{file.name}: ")
    assert "Read it before you send it" in run.err


def test_a_report_on_standard_output(gadgetip: Command) -> None:
    run = gadgetip("report", "-o", "-")
    assert "==== Kernel modules" in run.out
    assert "replaced" in run.err


def test_a_report_without_this_machines_name(
    gadgetip: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = gadgetip("--json", "report", "--redact-addresses")
    told = json.loads(run.out)
    assert os.uname().nodename not in told["file"]
    assert set(told) == {"file", "replaced"}


def test_a_report_that_cannot_be_written(gadgetip: Command, tmp_path: Path) -> None:
    run = gadgetip("report", "-o", str(tmp_path / "no/where.txt"))
    assert run.status == ExitStatus.ERROR
    assert "choose another file with -o" in run.err
