"""Hooks, with real programs."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.supervisor.hook_queue import LONGEST, Change, HookQueue
from gadgetip.supervisor.hooks import Hooks

Make = Callable[[str, str], Path]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "hooks.d"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def make(directory: Path) -> Make:
    def made(name: str, text: str) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return made


def run(directory: Path, *changes: Change, limit_s: float = 10.0) -> list[str]:
    """Tell the hooks, wait until they are through, and give what was said."""
    said: list[str] = []

    async def tell() -> None:
        hooks = Hooks(str(directory), lambda name, text: said.append(f"{name}: {text}"), limit_s)
        for change in changes:
            hooks.changed(change)
        await hooks.settle(30.0)

    asyncio.run(tell())
    return said


def test_what_they_are_told(directory: Path, make: Make, tmp_path: Path) -> None:
    make("20-second", f'echo "second $GADGETIP_STATE" >> {tmp_path}/out')
    make("10-first", f"env | grep -v -e PWD -e SHLVL -e ^_ | sort >> {tmp_path}/out")
    assert run(directory, Change("stick", "lost", "a b\nc")) == []
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert sorted((tmp_path / "out").read_text().splitlines()) == sorted(
        [
            *("GADGETIP_NAME=stick", "GADGETIP_STATE=lost", "GADGETIP_REASON=a b", "c"),
            *(f"PATH={path}", "second lost"),
        ]
    )
    assert (tmp_path / "out").read_text().endswith("second lost\n")


def test_one_after_the_other(directory: Path, make: Make, tmp_path: Path) -> None:
    make("hook", f'echo "$GADGETIP_STATE" >> {tmp_path}/out')
    run(directory, *(Change("stick", str(number), "") for number in range(5)))
    assert (tmp_path / "out").read_text().split() == ["0", "1", "2", "3", "4"]


def test_what_they_print_and_how_they_end(directory: Path, make: Make) -> None:
    make("hook", "echo out; echo error >&2; exit 3")
    assert run(directory, Change("stick", "bound", "")) == [
        "stick: hook hook: out",
        "stick: hook hook: error",
        "stick: hook hook ended with status 3",
    ]


def test_one_that_prints_more_than_a_pipe_holds(directory: Path, make: Make) -> None:
    make("hook", "head -c 1000000 /dev/zero | tr '\\0' x")
    (line,) = run(directory, Change("stick", "bound", ""))
    assert len(line) < 5000


def test_one_that_hangs_is_killed_with_its_children(
    directory: Path, make: Make, tmp_path: Path
) -> None:
    make("hook", f"sleep 60 & echo $! > {tmp_path}/child; wait")
    said = run(directory, Change("stick", "bound", ""), limit_s=3.0)
    assert said == ["stick: hook hook was killed after 3 s"]
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 30.0
    while _lives(child):  # it was killed, and needs a processor to die
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_what_nobody_should_trust_is_not_run(directory: Path, make: Make, tmp_path: Path) -> None:
    make("anybodys", f"touch {tmp_path}/ran").chmod(0o777)
    make("target", f"touch {tmp_path}/ran").rename(tmp_path / "target")
    (directory / "link").symlink_to(tmp_path / "target")
    make("plain", f"touch {tmp_path}/ran").chmod(0o644)
    (directory / "folder").mkdir()
    said = run(directory, Change("stick", "bound", ""), Change("stick", "lost", ""))
    assert said == [f"stick: {directory}/anybodys can be written by anybody: it is not run"]
    assert not (tmp_path / "ran").exists()
    directory.chmod(0o777)
    said = run(directory, Change("stick", "bound", ""))
    assert said == [f"stick: {directory} can be written by anybody: no hook is run"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_one_that_a_group_can_write(directory: Path, make: Make, tmp_path: Path) -> None:
    hook = make("hook", f"touch {tmp_path}/ran")
    hook.chmod(0o775)
    os.chown(hook, 0, 65534)
    problem = "can be written by its group, which is not root's"
    assert run(directory, Change("stick", "bound", "")) == [
        f"stick: {hook} {problem}: it is not run"
    ]
    os.chown(directory, 0, 65534)
    directory.chmod(0o775)
    assert run(directory, Change("stick", "bound", "")) == [
        f"stick: {directory} {problem}: no hook is run"
    ]
    assert not (tmp_path / "ran").exists()
    for path in (hook, directory):
        os.chown(path, 0, 0)
    assert run(directory, Change("stick", "bound", "")) == []
    assert (tmp_path / "ran").exists()


def test_one_change_that_cannot_be_told_does_not_stop_the_next(
    directory: Path, make: Make, tmp_path: Path
) -> None:
    make("hook", f'echo "$GADGETIP_STATE" >> {tmp_path}/out')
    (said,) = run(directory, Change("stick", "lost", "\ud800"), Change("stick", "bound", ""))
    assert said.startswith("stick: hook hook is not run: ")
    assert (tmp_path / "out").read_text() == "bound\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_one_that_is_somebody_elses(directory: Path, make: Make) -> None:
    os.chown(make("hook", "exit 0"), 65534, -1)
    assert run(directory, Change("stick", "bound", "")) == [
        f"stick: {directory}/hook is not root's: it is not run"
    ]


def test_one_that_is_no_program(directory: Path, make: Make) -> None:
    (directory / "hook").write_text("nothing that runs")
    (directory / "hook").chmod(0o755)
    assert run(directory, Change("stick", "bound", "")) == ["stick: hook hook: Exec format error"]


def test_without_a_directory(tmp_path: Path) -> None:
    assert run(tmp_path / "none", Change("stick", "bound", "")) == []


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_the_newest_win(states: list[int]) -> None:
    queue = HookQueue()
    for state in states:
        queue.put(Change("stick", str(state), ""))
    assert queue.take_dropped() == max(len(states) - LONGEST, 0)
    assert queue.take_dropped() == 0
    taken = []
    while (change := queue.take()) is not None:
        taken.append(int(change.state))
    assert taken == states[-LONGEST:]
