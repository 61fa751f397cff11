"""What the builder does where nobody lets another architecture's programs run.

Whether they do run, only the kernel can show: `make image`.
"""

from pathlib import Path

import pytest

from board.image import foreign_code
from board.image.debian import BuildError
from board.image.foreign_code import let_run


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with the three commands, whose calls go to the file `called`."""
    for name, status in (("arch-test", 1), ("mount", 32), ("update-binfmts", 2)):
        command = tmp_path / name
        said = f'echo "{name}: permission denied" >&2; exit {status}'
        command.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/called\n{said}\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(foreign_code, "REGISTRY", tmp_path)
    return tmp_path


def called(commands: Path) -> list[str]:
    return [line.split()[0] for line in (commands / "called").read_text().splitlines()]


def test_it_leaves_a_machine_that_runs_them_alone(commands: Path) -> None:
    (commands / "arch-test").write_text(f"#!/bin/sh\necho arch-test >>{commands}/called\n")
    let_run("arm64")
    assert called(commands) == ["arch-test"]


def test_it_mounts_the_registry_where_nobody_has(commands: Path) -> None:
    with pytest.raises(BuildError):
        let_run("arm64")
    assert called(commands) == ["arch-test", "mount", "update-binfmts", "arch-test"]


def test_it_says_what_to_do_in_one_line(commands: Path) -> None:
    (commands / "register").touch()
    with pytest.raises(BuildError, match=r"programs of arm64; .* permission") as raised:
        let_run("arm64")
    assert "\n" not in str(raised.value)
    assert called(commands) == ["arch-test", "update-binfmts", "arch-test"]
