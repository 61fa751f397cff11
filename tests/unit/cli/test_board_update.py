"""`gadgetip board update`, `slots` and `rollback`, onto files that play a card."""

import json
import lzma
import os
import pty
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gadgetip.appliance.card_here import Card
from gadgetip.appliance.slots import Slot, Slots
from gadgetip.cli import board_update
from tests.unit.appliance.images import NEW, OLD, content_of, image_of, manifest_of, new_card

from .running import Command

CONTENT = content_of(2)


class Board:
    """A board with an image, its card, and whether it was asked to restart."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.card = new_card(directory)
        self.restarts = 0
        self.image = directory / "new.img.xz"
        self.image.write_bytes(lzma.compress(image_of(CONTENT), preset=0))
        self.marker = directory / "image"
        self.marker.write_text(json.dumps({"schema": "image/1"} | asdict(OLD)))
        monkeypatch.setattr(board_update, "IMAGE_FILE", self.marker)
        monkeypatch.setattr(board_update, "card_here", lambda: self.card)
        monkeypatch.setattr(board_update, "restart_soon", self._restart)
        monkeypatch.setattr("os.geteuid", lambda: 0)

    def _restart(self) -> None:
        self.restarts += 1

    @property
    def other(self) -> bytes:
        return self.card.slots[Slot.B].read_bytes()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path, monkeypatch)


def test_an_update(board: Board, gadgetip: Command) -> None:
    run = gadgetip("board", "update", str(board.image))
    assert (run.status, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0] == f"{NEW}, newer than what runs ({OLD})"
    assert lines[1].startswith("writing slot B: ")
    assert "checking slot B: 100 %" in lines
    assert "systemctl reboot" in lines[-1]
    assert board.other.startswith(CONTENT)
    assert board.restarts == 0
    assert len(lines) < 30


def test_an_update_that_starts_the_board_again(board: Board, gadgetip: Command) -> None:
    run = gadgetip("board", "update", str(board.image), "--reboot")
    assert run.status == 0
    assert "starts again now" in run.out
    assert board.restarts == 1


def test_in_json(board: Board, gadgetip: Command) -> None:
    run = gadgetip("board", "update", str(board.image), "--json")
    events = [json.loads(line) for line in run.out.splitlines()]
    assert {event["event"] for event in events[:-1]} == {"progress"}
    assert events[-1] == {"event": "written", "slot": "B", "reboot": False} | asdict(NEW)


def test_a_dry_run_changes_nothing(board: Board, gadgetip: Command) -> None:
    before = board.card.disk.read_bytes(), board.other
    run = gadgetip("board", "update", "--dry-run", str(board.image), "--reboot")
    assert run.status == 0
    assert "would be written into slot B" in run.out
    assert (board.card.disk.read_bytes(), board.other) == before
    assert board.restarts == 0
    run = gadgetip("board", "update", "--dry-run", str(board.image), "--json")
    assert json.loads(run.out) == {"event": "checked", "slot": "B"} | asdict(NEW)


def test_from_standard_input(
    board: Board, gadgetip: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with board.image.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert gadgetip("board", "update", "-").status == 0
    assert board.other.startswith(CONTENT)


def test_standard_input_that_stalls(
    board: Board, gadgetip: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender is gone, and nobody has closed it."""
    monkeypatch.setattr(board_update, "STDIN_LIMIT_S", 1)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb", buffering=0) as sender:
        sender.write(board.image.read_bytes()[:4096])
        monkeypatch.setattr(sys, "stdin", stdin)
        run = gadgetip("board", "update", "-")
    assert run.status == 1
    [line] = run.err.splitlines()
    assert "standard input: nothing came for 1 s" in line
    assert board.card.boot_state().preferred is Slot.A


def test_from_a_terminal(board: Board, gadgetip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(leader), os.fdopen(follower) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        run = gadgetip("board", "update", "-")
    assert (run.status, "terminal" in run.err) == (2, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be written: it ends after 0 bytes"),
        (b"\x1f\x8b" + bytes(99), "packed by gzip"),
        (bytes(1 << 20), "no manifest of gadgetip's"),
        (
            image_of(CONTENT, replace(manifest_of(CONTENT), about=replace(NEW, board="x1"))),
            "for x1",
        ),
        (image_of(CONTENT, replace(manifest_of(CONTENT), size=1 << 30)), "1024 MiB"),
        (image_of(CONTENT)[:-2_000_000], "not all there"),
    ],
)
def test_what_is_refused_in_one_line(
    board: Board, gadgetip: Command, content: bytes, words: str
) -> None:
    board.image.write_bytes(content)
    run = gadgetip("board", "update", str(board.image))
    assert run.status == 1
    [line] = run.err.splitlines()
    assert words in line
    assert board.card.boot_state().preferred is Slot.A


def test_a_file_that_is_not_there(board: Board, gadgetip: Command) -> None:
    assert gadgetip("board", "update", "/nowhere/x").err == (
        "gadgetip: /nowhere/x: No such file or directory\n"
    )
    assert gadgetip("board", "update", "/").err == "gadgetip: /: Is a directory\n"


def test_what_the_board_goes_back_to_is_kept(board: Board, gadgetip: Command) -> None:
    board.card.write_content(Slot.B, manifest_of(CONTENT))
    board.card.change_boot_state(lambda _: Slots(Slot.A, 2, 3))
    before = board.other
    run = gadgetip("board", "update", str(board.image))
    assert (run.status, "--force" in run.err) == (1, True)
    assert board.other == before
    assert gadgetip("board", "update", str(board.image), "--force").status == 0
    assert board.other.startswith(CONTENT)


def test_slots(board: Board, gadgetip: Command) -> None:
    run = gadgetip("board", "slots")
    assert [line.split() for line in run.out.splitlines()] == [
        ["SLOT", "SYSTEM", "TRIES", "LEFT"],
        ["A", "0.1.0,", "built", OLD.built, "9", "runs,", "boots", "next"],
        ["B", "none", "3"],
    ]
    gadgetip("board", "update", str(board.image))
    found = json.loads(gadgetip("board", "slots", "--json").out)
    assert found == {
        "running": "A",
        "confirmed": True,
        "next": "B",
        "slots": {
            "A": {"tries_left": 9, "content": asdict(OLD)},
            "B": {"tries_left": 3, "content": asdict(NEW)},
        },
    }
    board.card = replace(board.card, running=Slot.B)
    board.card.change_boot_state(lambda _: Slots(Slot.B, 3, 2))
    assert "runs on trial, boots next" in gadgetip("board", "slots").out


def test_back_and_forth(board: Board, gadgetip: Command) -> None:
    run = gadgetip("board", "rollback")
    assert (run.status, "holds no system" in run.err) == (1, True)
    gadgetip("board", "update", str(board.image))
    board.card = replace(board.card, running=Slot.B)
    run = gadgetip("board", "rollback", "--reboot")
    assert run.status == 0
    assert "0.1.0 in slot A boots next" in run.out
    assert board.card.boot_state().preferred is Slot.A
    assert board.restarts == 1
    events = gadgetip("board", "rollback", "--json").out.splitlines()
    assert json.loads(events[-1]) == {"event": "preferred", "slot": "A", "reboot": False} | asdict(
        OLD
    )


def test_a_card_without_slots(board: Board, gadgetip: Command) -> None:
    board.card = Card(board.card.disk.parent / "gone", board.card.slots, Slot.A)
    run = gadgetip("board", "slots")
    assert (run.status, "the card cannot be read" in run.err) == (1, True)


@pytest.mark.parametrize("command", [["update", "x"], ["slots"], ["rollback"]])
def test_only_on_an_image_and_as_root(
    board: Board, gadgetip: Command, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    run = gadgetip("board", *command)
    assert (run.status, "sudo" in run.err) == (6, True)
    board.marker.unlink()
    run = gadgetip("board", *command)
    assert (run.status, "only an image has slots" in run.err) == (6, True)
