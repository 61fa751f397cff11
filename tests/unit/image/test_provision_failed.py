"""What tells the owner that provisioning itself has failed, in a directory that plays the root."""

import configparser
import os
import subprocess
from pathlib import Path

import pytest

from gadgetip.appliance.lamp import PROBLEM_HERE
from gadgetip.appliance.problem_text import WIDTH
from gadgetip.appliance.provisioned import MISREAD_HERE
from gadgetip.appliance.provisioning import Places

ROOT = Path(__file__).parents[3] / "board/image/root"
PROGRAM = ROOT / "usr/libexec/gadgetip/provision-failed"
PLACES = Places()
MOUNT = """#!/bin/sh
echo "$*" >>"$MOUNTED"
"""
CONFIG = 'schema = "config/1"\n[board.wifi]\npsk = "correct horse"\n'
MOVED = CONFIG.replace('"correct horse"', '"moved"        ')


class Board:
    """The root of a board, and a `mount` that only writes down what it is asked for."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.programs = directory / "programs"
        self.mounted = directory / "mounted"
        for path in ("run", PLACES.boot[1:], PLACES.state[1:]):
            (self.root / path).mkdir(parents=True)
        self.programs.mkdir()
        self.program("mount", MOUNT)
        self.card.write_text(CONFIG)

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def place(self, path: str) -> Path:
        return self.root / path[1:]

    @property
    def card(self) -> Path:
        return self.place(PLACES.card_config)

    def fail(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", PROGRAM, self.root],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ
            | {
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "MOUNTED": str(self.mounted),
            },
        )

    def mounts(self) -> list[str]:
        if not self.mounted.exists():
            return []
        return [line.split(" ")[1] for line in self.mounted.read_text().splitlines()]


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_a_first_boot(board: Board) -> None:
    """The lamp is told, no supervisor is expected, and the owner reads why."""
    done = board.fail()
    assert (done.returncode, done.stderr) == (0, "")
    page = board.place(PROBLEM_HERE).read_text()
    assert page.startswith("gadgetip.toml could not be taken over")
    assert max(map(len, page.splitlines())) <= WIDTH
    assert done.stdout == board.place(PLACES.problem).read_text() == page
    assert board.mounts() == ["remount,rw", "remount,ro"]
    assert not board.place(MISREAD_HERE).exists()
    # Nothing else has come, and nothing is left half done.
    assert {path.name for path in board.place(PLACES.boot).iterdir()} == {
        "gadgetip.toml",
        "gadgetip-problem.txt",
    }
    assert board.card.read_text() == CONFIG


def test_what_was_told_stays(board: Board) -> None:
    """A mistake in the file makes the unit fail, too."""
    for path in (PROBLEM_HERE, PLACES.problem):
        board.place(path).write_text("Line 3: a mistake\n")
    done = board.fail()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert board.place(PLACES.problem).read_text() == "Line 3: a mistake\n"
    assert board.mounts() == []
    assert not board.place(MISREAD_HERE).exists()


def test_what_did_not_get_onto_the_card_gets_there(board: Board) -> None:
    board.place(PROBLEM_HERE).write_text("Line 3: a mistake\n")
    board.place(PLACES.problem).write_text("of an earlier start\n")
    assert board.fail().returncode == 0
    assert board.place(PLACES.problem).read_text() == "Line 3: a mistake\n"


@pytest.mark.parametrize(
    ("on_card", "kept", "misread"),
    [
        (MOVED, MOVED, True),
        (None, MOVED, True),
        (CONFIG, MOVED, True),  # the power went while it was written over
        (MOVED + "x = 1\n", MOVED, False),
        (CONFIG, None, False),
        (None, None, False),
    ],
)
def test_whose_mistake_it_is(
    board: Board, on_card: str | None, kept: str | None, *, misread: bool
) -> None:
    """An update whose provisioning fails must not pass its trial for that."""
    for path, content in ((PLACES.card_config, on_card), (PLACES.kept_config, kept)):
        if content is None:
            board.place(path).unlink(missing_ok=True)
        else:
            board.place(path).write_text(content)
    board.fail()
    assert board.place(PROBLEM_HERE).exists()
    assert board.place(MISREAD_HERE).exists() is misread


def test_a_card_that_cannot_be_written(board: Board) -> None:
    board.program("cp", "#!/bin/sh\nexit 1\n")
    assert board.fail().returncode != 0
    assert board.place(PROBLEM_HERE).exists()
    assert not board.place(PLACES.problem).exists()
    assert board.mounts() == ["remount,rw", "remount,ro"]


def test_it_is_started() -> None:
    units = ROOT / "etc/systemd/system"
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(units / "gadgetip-provision.service.d/image.conf")
    name = parser["Unit"]["OnFailure"]
    parser.read(units / name)
    assert parser["Service"]["ExecStart"] == f"/{PROGRAM.relative_to(ROOT)}"
    assert os.access(PROGRAM, os.X_OK)
