"""What the builder does where nobody lets another architecture's programs run.

Whether they do run, only the kernel can show: `make image`.
"""

from pathlib import Path

import pytest

from board.image.debian import BuildError
from board.image.foreign_code import let_run


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with both commands; their calls go to `called`, and `enabled` makes programs run."""
    for name, what in (
        ("arch-test", f"test -e {tmp_path}/enabled"),
        ("update-binfmts", f"touch {tmp_path}/enabled"),
    ):
        command = tmp_path / name
        command.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/called\n{what}\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def called(commands: Path) -> list[str]:
    return (commands / "called").read_text().splitlines()


def test_it_leaves_a_machine_that_runs_them_alone(commands: Path) -> None:
    (commands / "enabled").touch()
    let_run("arm64")
    assert called(commands) == ["arch-test arm64"]


@pytest.mark.parametrize("architecture", ["armhf", "armel"])
def test_it_registers_the_emulator_and_no_other(commands: Path, architecture: str) -> None:
    let_run(architecture)
    test = f"arch-test {architecture}"
    assert called(commands) == [test, "update-binfmts --enable qemu-arm", test]


@pytest.mark.parametrize(
    ("complaint", "told"),
    [
        ("echo 'not\n allowed' >&2; exit 2", "arm64: not allowed (status 2). It takes"),
        ("exit 0", "arm64: the kernel calls no emulator. It takes"),
    ],
)
def test_it_says_in_one_line_what_is_wrong(commands: Path, complaint: str, told: str) -> None:
    (commands / "update-binfmts").write_text(f"#!/bin/sh\n{complaint}\n")
    with pytest.raises(BuildError) as raised:
        let_run("arm64")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_it_says_which_command_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="update-binfmts: No such file or directory"):
        let_run("arm64")
