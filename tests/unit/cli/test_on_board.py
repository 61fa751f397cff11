"""`--on`: what ssh is asked to run, with an ssh that runs it here."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.cli import on_board
from gadgetip.cli.on_board import (
    refuse_files,
    remote_command,
    run_on,
    ssh_command,
    take_destination,
    take_image,
)
from gadgetip.errors import ExitStatus, GadgetipError, PrerequisiteError, UsageError

from .running import Command

# As sshd does: the words behind the destination are one text for the user's login shell.
SSH = """#!/bin/sh
echo "$*" >"$FAKE/ssh"
while [ "${1#-}" != "$1" ]; do case $1 in -o) shift 2;; *) shift;; esac; done
[ "$1" = root@dead.lan ] && { echo "ssh: no route" >&2; exit 255; }
shift
exec /bin/sh -c "$*"
"""
GADGETIP = f"""#!{sys.executable}
import json, os, sys
sys.stdout.write(json.dumps(sys.argv[1:]))
sys.exit(int(os.environ.get("FAKE_STATUS", "0")))
"""
SUDO = """#!/bin/sh
echo "$*" >>"$FAKE/sudo"
[ "$2" = -l ] && exit "$FAKE_SUDO"
shift
exec "$@"
"""
ID = """#!/bin/sh
echo "${FAKE_ID:-0}"
"""


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp())
    for name, text in (("ssh", SSH), ("gadgetip", GADGETIP), ("sudo", SUDO), ("id", ID)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def fake(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path))
    return tmp_path


WORDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=6
)


@settings(max_examples=40)
@given(WORDS)
def test_every_argument_arrives_as_it_was(programs: Path, words: list[str]) -> None:
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "FAKE": "/nowhere"}
    command = ssh_command("me@board.lan", words, terminal=False)
    # What sshd does with the last word of the command.
    done = subprocess.run(
        ["/bin/sh", "-c", command[-1]], check=False, capture_output=True, env=environment
    )
    assert json.loads(done.stdout) == words


def test_what_ssh_is_asked(gadgetip: Command, fake: Path) -> None:
    run = gadgetip("--json", "status", "--on", "root@board.lan", "my stick; reboot", "--watch")
    assert run.status == 0
    asked = (fake / "ssh").read_text()
    assert asked.startswith("-o LogLevel=ERROR -T root@board.lan exec sh -c ")


def test_output_comes_back(fake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_on("root@board.lan", ["log", "a b", "-f"]) == 0
    assert json.loads(capfd.readouterr().out) == ["log", "a b", "-f"]


@pytest.mark.parametrize("status", [0, 1, 2, 3, 4, 5, 6, 7])
def test_exit_statuses_come_back(
    gadgetip: Command, fake: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("FAKE_STATUS", str(status))
    assert gadgetip("--on=board", "doctor").status == status


def test_ssh_failed(gadgetip: Command, fake: Path) -> None:
    run = gadgetip("doctor", "--on", "root@dead.lan")
    assert run.status == ExitStatus.ERROR
    assert run.err == "gadgetip: ssh to root@dead.lan failed: try `ssh root@dead.lan true`\n"


def test_no_gadgetip_there(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STATUS", "127")
    with pytest.raises(PrerequisiteError, match="install it there"):
        run_on("board", ["doctor"])


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="openssh-client"):
        run_on("board", ["doctor"])


@pytest.mark.parametrize(("allowed", "calls"), [("0", 2), ("1", 1)])
def test_sudo_where_it_needs_no_password(
    fake: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    allowed: str,
    calls: int,
) -> None:
    monkeypatch.setenv("FAKE_ID", "1000")
    monkeypatch.setenv("FAKE_SUDO", allowed)
    assert run_on("me@board", ["stop", "a  b"]) == 0
    assert json.loads(capfd.readouterr().out) == ["stop", "a  b"]
    lines = (fake / "sudo").read_text().splitlines()
    assert lines == ["-n -l gadgetip", "-n gadgetip stop a  b"][:calls]


def test_root_needs_no_sudo(fake: Path) -> None:
    assert run_on("root@board", ["stop"]) == 0
    assert not (fake / "sudo").exists()


def test_a_terminal_is_asked_for() -> None:
    assert "-t" in ssh_command("b", ["status", "--watch"], terminal=True)
    assert "-t" not in ssh_command("b", ["status", "--watch"], terminal=False)


@pytest.mark.parametrize(
    ("arguments", "destination", "rest"),
    [
        (["doctor"], None, ["doctor"]),
        (["--on", "a@b", "doctor"], "a@b", ["doctor"]),
        (["status", "x", "--on=b", "--json"], "b", ["status", "x", "--json"]),
        (["log", "--", "--on", "b"], None, ["log", "--", "--on", "b"]),
        (["--on", "b", "log", "--", "--on"], "b", ["log", "--", "--on"]),
        (["--on", "ssh://me@b:2222", "udc"], "ssh://me@b:2222", ["udc"]),
    ],
)
def test_taking_the_destination(
    arguments: list[str], destination: str | None, rest: list[str]
) -> None:
    assert take_destination(arguments) == (destination, rest)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--on", "-oProxyCommand=reboot", "udc"],
        ["--on=-oProxyCommand=reboot", "udc"],
        ["--on"],
        ["--on", "", "udc"],
        ["--on", "a b", "udc"],
        ["--on", "a\nb", "udc"],
        ["--on", "a", "--on", "b", "udc"],
    ],
)
def test_what_is_no_destination(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        take_destination(arguments)


@given(st.lists(st.text(), max_size=6))
def test_a_destination_is_never_an_option(arguments: list[str]) -> None:
    try:
        destination, rest = take_destination(["--on", *arguments])
    except UsageError:
        return
    assert destination == arguments[0]
    assert not destination.startswith("-")
    assert rest == arguments[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "a.toml"],
        ["-v", "check", "a.toml"],
        ["profile", "import", "a.scheme"],
        ["plan", "--descriptors", "a.bin"],
        ["plan", "--descriptors=a.bin"],
        ["inspect", "nas", "1-1", "--save", "x"],
        ["attach", "nas", "1-1", "--profile", "./mine.toml"],
        ["attach", "nas", "1-1", "--profile=mine.toml"],
        ["--config", "mine.toml", "run"],
        ["report"],
        ["board", "selftest"],
        ["report", "-o", "x.txt"],
        ["report", "-o", "-", "--output=x.txt"],
        ["report", "--", "-o", "-"],
        ["profile", "suggest", "nas", "1-1", "-o", "stm.toml"],
        ["profile", "suggest", "nas", "1-1", "-ostm.toml"],
        ["-v", "profile", "suggest", "-qvo", "stm", "nas", "1-1"],
        ["profile", "suggest", "nas", "1-1", "--output", "stm"],
        ["profile", "suggest", "nas", "1-1", "--output=stm"],
        ["profile", "suggest", "nas", "1-1", "-o"],
        ["profile", "export", "mine", "-o", "mine.scheme"],
        ["profile", "export", "mine.toml"],
        ["profile", "show", "./mine"],
        ["profile", "--json", "show", "-v", "--", "mine.toml"],
    ],
)
def test_files_of_this_machine_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        refuse_files(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["profile", "list"],
        ["attach", "nas", "1-1", "--profile", "generic"],
        ["report", "-o", "-"],
        ["board", "selftest", "-o", "-"],
        ["report", "-o-"],
        ["report", "-o", "x.txt", "-qo", "-"],
        ["profile", "show", "generic"],
        ["profile", "export", "generic", "-o", "-"],
        ["profile", "suggest", "nas", "1-1"],
        ["list", "profile", "-o"],
        ["board", "setup"],
        ["list", "check"],
        [],
    ],
)
def test_the_rest_is_not(arguments: list[str]) -> None:
    refuse_files(arguments)


@pytest.mark.parametrize(
    "words",
    [["board", "update", "a.img.xz", "--reboot"], ["-v", "board", "update", "--json", "a.img.xz"]],
)
def test_an_image_goes_along(
    fake: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    """The file is what the command there reads, with nothing before or after it."""
    (tmp_path / "a.img.xz").write_bytes(bytes(range(256)) * 999)
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    shutil.copy(shutil.which("ssh") or "", programs / "ssh")
    (programs / "gadgetip").write_text('#!/bin/sh\necho "$*"; cat >"$FAKE/received"\n')
    (programs / "gadgetip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert run_on("root@board.lan", words) == 0
    expected = " ".join("-" if word == "a.img.xz" else word for word in words)
    assert capfd.readouterr().out == f"{expected}\n"
    assert (fake / "received").read_bytes() == bytes(range(256)) * 999
    assert " -T " in (fake / "ssh").read_text()


def test_an_image_that_is_not_there(gadgetip: Command, fake: Path) -> None:
    run = gadgetip("--on", "board", "board", "update", "/nowhere/a.img.xz")
    assert (run.status, run.err) == (
        ExitStatus.ERROR,
        "gadgetip: /nowhere/a.img.xz: No such file or directory\n",
    )
    assert not (fake / "ssh").exists()


@pytest.mark.parametrize(
    ("arguments", "image", "there"),
    [
        (["board", "update", "x"], "x", ["board", "update", "-"]),
        (
            ["--json", "board", "update", "--reboot", "./-x"],
            "./-x",
            ["--json", "board", "update", "--reboot", "-"],
        ),
        (["board", "update", "-"], None, ["board", "update", "-"]),
        (["board", "update", "--", "-x.img"], "-x.img", ["board", "update", "--", "-"]),
        (["board", "--", "update", "x"], "x", ["board", "--", "update", "-"]),
        (["board", "update", "x", "--", "-y"], None, ["board", "update", "x", "--", "-y"]),
        (["board", "update"], None, ["board", "update"]),
        (["board", "update", "x", "y"], None, ["board", "update", "x", "y"]),
        (["board", "slots"], None, ["board", "slots"]),
        (["board", "rollback", "update"], None, ["board", "rollback", "update"]),
        (["log", "board", "update"], None, ["log", "board", "update"]),
        ([], None, []),
    ],
)
def test_taking_the_image(arguments: list[str], image: str | None, there: list[str]) -> None:
    assert take_image(arguments) == (image, there)


def test_a_refused_file_is_one_line(gadgetip: Command, fake: Path) -> None:
    run = gadgetip("--on", "board", "check", "x.toml")
    assert run.status == ExitStatus.USAGE
    assert run.err.splitlines() == [
        "gadgetip: `check` reads a file of this machine: check it here, without --on"
    ]
    assert not (fake / "ssh").exists()


def test_help_is_this_machines(gadgetip: Command, fake: Path) -> None:
    run = gadgetip("--on", "board", "doctor", "--help")
    assert "Usage" in run.out
    assert not (fake / "ssh").exists()


def test_ctrl_c_while_ssh_runs_is_done(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh without a terminal there dies of the signal; the user stopped it."""
    script = 'kill -INT "$PPID"; kill -INT $$'
    monkeypatch.setattr(on_board, "ssh_command", lambda *_, **__: ["/bin/sh", "-c", script])
    assert run_on("board", ["log", "-f"]) == ExitStatus.DONE


def test_ssh_killed_is_an_error(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_board, "ssh_command", lambda *_, **__: ["/bin/sh", "-c", "kill -9 $$"])
    with pytest.raises(GadgetipError, match="ssh to board failed"):
        run_on("board", ["log", "-f"])


def test_the_script_can_be_quoted() -> None:
    assert "'" not in on_board.SCRIPT
    assert remote_command([]).endswith("gadgetip")
