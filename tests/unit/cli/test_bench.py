"""`gadgetip bench`: what it refuses, what it asks, and the shapes that it prints."""

import importlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from gadgetip.attachment import Registration, Traffic
from gadgetip.cli.main import cli
from gadgetip.errors import ExitStatus

from .running import Command


@pytest.fixture
def attached(running_attachments: Path) -> Iterator[Registration]:
    with Registration("gadget", "127.0.0.1", "1-2", supervised="stick") as registration:
        registration.attached("1-2", udc="dummy_udc.0", window_urbs=8)
        yield registration


@pytest.fixture
def moving(attached: Registration) -> Iterator[None]:
    """Something moves all the time."""
    over = threading.Event()

    def move() -> None:
        number = 0
        while not over.wait(0.9):
            number += 1
            registered = Traffic(number * 10**6, 31 * number, 9 * number, number, 0, 0, 0, 0.05)
            attached.moved(registered)

    thread = threading.Thread(target=move)
    thread.start()
    yield
    over.set()
    thread.join()


def test_an_attachment(gadgetip: Command, moving: None) -> None:
    run = gadgetip("bench", "stick", "--seconds", "2.5")
    assert (run.status, run.err) == (0, "")
    assert "watching stick (1-2 of 127.0.0.1, gadget) for 2.5 s (Ctrl-C" in run.out
    assert "s: 1 MB to the host, 31 B to the device" in run.out
    for what in ("speed ", "URBs ", "round trip 50 ms", "processor ", "memory ", "bound by "):
        assert f"\n{what}" in run.out


def test_an_attachment_as_json(gadgetip: Command, moving: None) -> None:
    run = gadgetip("bench", "--json", "--seconds", "2.5")
    assert (run.status, run.err) == (0, "")
    found = json.loads(run.out)
    assert (found["measured"], found["name"], found["udc"]) == (
        "attachment",
        "stick",
        "dummy_udc.0",
    )
    assert found["bytes_in"] >= 10**6
    assert found["bytes_in_per_s"] == pytest.approx(10**6 / 0.9, rel=0.3)
    assert found["round_trip_ms"] == 50
    assert found["shortest_round_trip_ms"] is None
    assert found["bound"] in {"processor", "device or host"}


def test_nothing_is_attached(gadgetip: Command) -> None:
    run = gadgetip("bench")
    assert (run.status, run.out) == (ExitStatus.ERROR, "")
    assert "nothing that can be watched is attached here" in run.err


def test_nothing_moves(gadgetip: Command, attached: Registration) -> None:
    run = gadgetip("bench", "--seconds", "1", "-q")
    assert (run.status, run.out) == (ExitStatus.ERROR, "")
    assert "nothing moved in 1 s" in run.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stick", "--disk", "/dev/sdb"], "NAME, --disk and --hid exclude each other"),
        (["--hid", "/dev/hidraw0", "--disk", "/dev/sdb"], "exclude each other"),
        (["--write"], "--write and --yes go with --disk"),
        (["--keyboard", "/dev/hidraw0", "--yes"], "--write and --yes go with --disk"),
        *((["--seconds", each], "is not in the range") for each in ("0", "-1", "nan", "inf")),
        *((["--seconds", each], "is not in the range") for each in ("-nan", "-inf", "1e9", "0.9")),
        (["--disk", "/dev/null"], "/dev/null is no disk"),
        (["--disk", "/nowhere"], "/nowhere: No such file"),
        (["--hid", "/dev/null"], "is no input device"),
    ],
)
def test_usage_errors(gadgetip: Command, arguments: list[str], said: str) -> None:
    run = gadgetip("bench", *arguments)
    assert (run.status, run.out) == (ExitStatus.USAGE, "")
    assert said in run.err


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file instead of a disk; where it lies there may be no way past the page cache."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(2 << 20))
    monkeypatch.setattr("gadgetip.cli.bench.require_disk", lambda _: None)
    monkeypatch.setattr(os, "O_DIRECT", 0)
    return path


def test_a_disk(gadgetip: Command, disk: Path) -> None:
    run = gadgetip("bench", "--disk", str(disk), "--seconds", "1")
    assert (run.status, run.err) == (0, "")
    assert "in sequence (2.1 MB); 4 KiB at random" in run.out
    run = gadgetip("bench", "--disk", str(disk), "--seconds", "1", "--json")
    found = json.loads(run.out)
    assert found.keys() == {"measured", "disk", "read"}
    assert found["read"]["random_4k"]["count"] >= 1
    assert disk.read_bytes() == bytes(2 << 20)


def test_nobody_can_be_asked_whether_a_disk_may_be_lost(gadgetip: Command, disk: Path) -> None:
    run = gadgetip("bench", "--disk", str(disk), "--write", "--seconds", "1")
    assert run.status == ExitStatus.USAGE
    assert "say --yes where nobody can be asked" in run.err
    assert disk.read_bytes() == bytes(2 << 20)


@pytest.mark.parametrize("agreed", [False, True])
def test_a_person_is_asked(
    gadgetip: Command, disk: Path, monkeypatch: pytest.MonkeyPatch, agreed: bool
) -> None:
    asked: list[str] = []

    def confirm(question: str, *, err: bool) -> bool:
        assert err
        asked.append(question)
        return agreed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    run = gadgetip("bench", "--disk", str(disk), "--write", "--seconds", "1")
    assert run.status == 0
    assert [str(disk) in question for question in asked] == [True]
    assert ("nothing was written" in run.out) is not agreed
    assert (disk.read_bytes() == bytes(2 << 20)) is not agreed


def test_a_script_says_yes(gadgetip: Command, disk: Path) -> None:
    run = gadgetip("bench", "--disk", str(disk), "--write", "--yes", "--json", "--seconds", "1")
    assert (run.status, run.err) == (0, "")
    found = json.loads(run.out)
    assert found["write"]["bytes_per_s"] > 0
    assert disk.read_bytes() != bytes(2 << 20)


@contextmanager
def ctrl_c(monkeypatch: pytest.MonkeyPatch, module: str, name: str, after: int) -> Iterator[None]:
    """Ctrl-C in the call that follows so many calls of a function."""
    real = getattr(importlib.import_module(module), name)
    calls = 0

    def interrupted(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", interrupted)
        yield


@pytest.mark.parametrize(
    ("after", "ways", "at_random"),
    [(1, ["read"], 0), (5, ["read"], 3), (10**9, ["read", "write"], None)],
    ids=["in sequence", "at random", "never"],
)
def test_ctrl_c_shows_what_was_measured_of_a_disk(
    gadgetip: Command,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
    ways: list[str],
    at_random: int | None,
) -> None:
    with ctrl_c(monkeypatch, "gadgetip.bench.disk", "_request", after):
        run = gadgetip("bench", "--disk", str(disk), "--write", "--yes", "--json", "--seconds", "1")
    assert (run.status, run.err) == (0, "")
    found = json.loads(run.out)
    assert [way for way in ("read", "write") if way in found] == ways
    assert found["read"]["sequential_bytes"] == min(after, 2) << 20
    spread = found["read"]["random_4k"]
    assert at_random is None or (spread["count"] if spread else 0) == at_random
    assert (spread is None) is (found["read"]["random_4k_per_s"] is None)
    assert (disk.read_bytes() == bytes(2 << 20)) is ("write" not in ways)


def test_ctrl_c_while_a_disk_is_written_keeps_what_was_read(
    gadgetip: Command, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ctrl_c(monkeypatch, "os", "pwritev", 1):
        run = gadgetip("bench", "--disk", str(disk), "--write", "--yes", "--seconds", "1")
    assert (run.status, run.err) == (0, "")
    assert "in sequence (2.1 MB); 4 KiB at random" in run.out
    assert "in sequence (1.05 MB); ended before anything was read or written at random" in run.out


def test_ctrl_c_before_anything_was_measured(
    gadgetip: Command, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ctrl_c(monkeypatch, "gadgetip.bench.disk", "_request", 0):
        run = gadgetip("bench", "--disk", str(disk), "-q")
    assert (run.status, run.out) == (ExitStatus.ERROR, "")
    assert "ended before anything was measured" in run.err


def test_ctrl_c_shows_what_was_seen_of_a_keyboard(
    gadgetip: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hidraw9"
    os.mkfifo(path)
    ends = [os.open(path, os.O_RDONLY | os.O_NONBLOCK), os.open(path, os.O_WRONLY)]
    os.write(ends[1], bytes(8))
    with ctrl_c(monkeypatch, "select", "select", 1):
        run = gadgetip("bench", "--hid", str(path), "--json", "--seconds", "60")
    for end in ends:
        os.close(end)
    assert (run.status, run.err) == (0, "")
    found = json.loads(run.out)
    assert (found["reports"], found["intervals"]) == (1, None)
    assert 0 <= found["seconds"] < 60


def test_a_shell_offers_what_runs(attached: Registration) -> None:
    command = cli.get_command(click.Context(cli), "bench")
    assert command is not None
    context = click.Context(command, info_name="bench")
    offered = [each.value for each in command.params[0].shell_complete(context, "st")]
    assert offered == ["stick"]
    assert command.params[0].shell_complete(context, "x") == []
