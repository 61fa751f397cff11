"""Watching an attachment that this process pretends to keep: its record and clock are real."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gadgetip.attachment import Registration, Traffic, list_running, running
from gadgetip.bench.processes import family, resident_bytes, used_by
from gadgetip.bench.verdict import Bound
from gadgetip.bench.watching import watch
from gadgetip.errors import GadgetipError


@pytest.fixture
def registration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registration]:
    monkeypatch.setattr(running, "DIRECTORY", tmp_path / "attachments")
    with Registration("gadget", "127.0.0.1", "1-2", "dummy_udc.0") as there:
        there.attached("1-2", udc="dummy_udc.0", window_urbs=8)
        yield there


@contextmanager
def meanwhile(step: Callable[[int], None], times: int, every_s: float) -> Iterator[None]:
    """Call `step` with 1, 2, ... beside the test, at this pace."""
    over = threading.Event()

    def go_on() -> None:
        for number in range(1, times + 1):
            if over.wait(every_s):
                return
            step(number)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_what_moves_is_seen(registration: Registration) -> None:
    def move(number: int) -> None:
        registration.moved(Traffic(number * 1000, 10, number, 1, 0, 0, 0, 0.001, 0.0005, 0))

    seen: list[int] = []
    with meanwhile(move, times=3, every_s=1.0):
        watched = watch(
            list_running()[0], 3.5, lambda _, __, after: seen.append(after.traffic.bytes_in)
        )
    assert seen == [1000, 2000, 3000]
    assert watched.figures.bytes_in == 3000
    assert watched.figures.in_per_s == pytest.approx(1000, rel=0.2)
    assert watched.verdict.bound in {Bound.ENDS, Bound.PROCESSOR}  # others use this machine too
    assert watched.resident_bytes is not None
    assert watched.running.window_urbs == 8


def test_ctrl_c_ends_it_with_what_was_seen(registration: Registration) -> None:
    registration.moved(Traffic(5, 5, 1, 1, 0, 0, 0))

    def move_and_interrupt(number: int) -> None:
        if number == 1:
            registration.moved(Traffic(1005, 5, 2, 1, 0, 0, 0))
        else:
            signal.raise_signal(signal.SIGINT)

    with meanwhile(move_and_interrupt, times=2, every_s=1.0):
        watched = watch(list_running()[0], 100)
    assert watched.figures.bytes_in == 1000
    assert 1.5 < watched.seconds < 50


def test_nothing_moves(registration: Registration) -> None:
    registration.moved(Traffic(5, 5, 1, 1, 0, 0, 0))
    with pytest.raises(GadgetipError, match="nothing moved in 1 s: use the device"):
        watch(list_running()[0], 1)


@pytest.mark.parametrize("how", ["lost", "again"])
def test_it_is_lost(registration: Registration, how: str) -> None:
    registration.moved(Traffic(5000, 5000, 1, 1, 0, 0, 0))

    def lose(_: int) -> None:
        if how == "lost":
            registration.lost()
        else:
            registration.moved(Traffic(7000, 0, 0, 0, 0, 0, 0))

    with (
        meanwhile(lose, times=1, every_s=0.3),
        pytest.raises(GadgetipError, match=r"1-2 of 127\.0\.0\.1 was detached or lost meanwhile"),
    ):
        watch(list_running()[0], 10)


BUSY = """
import os, sys, time
if os.fork() == 0:
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    os.write(1, b"worked\\n")
    sys.stdin.read()
    os._exit(0)
os.wait()
"""


def test_what_a_child_uses_counts() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"worked\n"
        pids = family(process.pid)
        assert process.pid in pids
        assert len(pids) == 2
        used = used_by(pids)
        assert used.user_s + used.system_s >= 0.25
        assert max(used.threads_s.values()) >= 0.25
        assert set(used.threads_s) == pids
        assert used.busy_s >= 0.25
        resident = resident_bytes(pids)
        assert resident is not None
        assert resident > 1 << 20
        process.stdin.close()
    assert used_by(pids).user_s == 0
    assert resident_bytes(pids) is None
    assert os.getpid() not in pids
