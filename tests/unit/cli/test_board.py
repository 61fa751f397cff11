"""`gadgetip board`, with another root in place of this machine's."""

import json
from pathlib import Path

import pytest

from gadgetip.appliance import setup_here
from gadgetip.appliance.provisioning_here import provision_here
from gadgetip.appliance.selftest import BoardNow
from gadgetip.appliance.setup_plan import MODULES
from gadgetip.cli import board_provision, board_selftest, board_setup
from gadgetip.diagnosis import Finding, State

from .running import Command

ATTACHMENT = """\
schema = "config/1"
[[attachment]]
name = "stick"
server = "nas.lan"
match = { id = "0781:5581" }
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("planned", "planned_undo"):
        function = getattr(setup_here, name)
        monkeypatch.setattr(board_setup, name, lambda function=function: function(tmp_path))
    for name in ("set_up", "undo"):
        function = getattr(setup_here, name)
        monkeypatch.setattr(board_setup, name, lambda x, function=function: function(x, tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def test_setup_and_back(root: Path, gadgetip: Command) -> None:
    run = gadgetip("board", "setup", "--dry-run")
    assert run.status == 0
    assert f"+++ {MODULES}" in run.out
    assert list(root.iterdir()) == []

    run = gadgetip("board", "setup", "--yes")
    assert (run.status, run.err) == (0, "")
    assert "libcomposite" in (root / MODULES[1:]).read_text()
    assert "systemctl restart gadgetip" in run.out
    assert gadgetip("board", "setup").out == "nothing to do: this system is set up\n"

    run = gadgetip("board", "setup", "--undo", "--yes")
    assert run.status == 0
    assert not (root / MODULES[1:]).exists()
    run = gadgetip("board", "setup", "--undo")
    assert (run.status, "nothing to undo" in run.err) == (1, True)


def test_setup_in_json_asks_nobody(root: Path, gadgetip: Command) -> None:
    run = gadgetip("board", "setup", "--json")
    assert run.status == 1
    document = json.loads(run.out)
    assert MODULES in [each["path"] for each in document["changes"]]
    assert document["done"] is False
    assert json.loads(gadgetip("board", "setup", "--json", "--yes").out)["done"] is True


@pytest.mark.usefixtures("root")
def test_setup_without_root(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    run = gadgetip("board", "setup")
    assert (run.status, run.err.count("\n")) == (6, 1)
    assert gadgetip("board", "setup", "--dry-run").status == 0


def test_selftest_without_questions(
    gadgetip: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finding = Finding("board", "controller", State.OK, "there is one")
    monkeypatch.setattr(
        board_selftest, "board_now", lambda: BoardNow((("board", "x"),), (finding,))
    )
    file = tmp_path / "report.txt"
    run = gadgetip("board", "selftest", "--no-questions", "-o", str(file))
    assert run.status == 0
    assert "* [ok] board, controller: there is one" in file.read_text()
    run = gadgetip("board", "selftest", "--no-questions", "-o", str(file))
    assert (run.status, "exists: remove it" in run.err) == (1, True)
    assert json.loads(gadgetip("board", "selftest", "--json").out)["about"] == {"board": "x"}


def test_selftest_of_what_is_no_board(gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("board", "controller", State.FAILED, "there is none")
    monkeypatch.setattr(board_selftest, "board_now", lambda: BoardNow((), (finding,)))
    run = gadgetip("board", "selftest", "--no-questions", "-o", "-")
    assert run.status == 6
    assert "there is none" in run.out


@pytest.mark.parametrize("command", ["provision", "watch"])
def test_what_an_image_does_no_other_machine_does(gadgetip: Command, command: str) -> None:
    run = gadgetip("board", command)
    assert (run.status, run.out) == (6, "")
    assert "is for images" in run.err
    assert command not in gadgetip("board", "--help").out.split()


def test_provisioning_tells_what_is_wrong(
    gadgetip: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    image.touch()
    monkeypatch.setattr("gadgetip.cli.image.IMAGE_FILE", image)
    (tmp_path / "boot/firmware").mkdir(parents=True)
    monkeypatch.setattr(board_provision, "provision_here", lambda: provision_here(tmp_path))
    run = gadgetip("board", "provision")
    assert (run.status, run.err) == (1, "")
    assert "There is no gadgetip.toml here" in run.out
    (tmp_path / "usr/share/zoneinfo/Etc").mkdir(parents=True)
    (tmp_path / "usr/share/zoneinfo/Etc/UTC").touch()
    config = tmp_path / "boot/firmware/gadgetip.toml"
    config.write_text('schema = "config/1"\n')
    run = gadgetip("board", "provision")
    assert run.status == 0
    assert run.out.startswith("gadgetip.toml is taken over, but there is one thing to do.\n")
    config.write_text(ATTACHMENT)
    run = gadgetip("board", "provision")
    assert (run.status, run.out) == (0, "gadgetip.toml is taken over\n")
