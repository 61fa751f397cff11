"""The process that a keeper forks: what it has of its keeper's, and how it is ended."""

import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gadgetip.attachment import keeper
from gadgetip.attachment.channel import Channel, Word
from gadgetip.attachment.keeper import WorkerProcess

LIMIT_S = 10


class Keeping:
    """Forks workers that do what a test wants, and ends them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._monkeypatch = monkeypatch
        self._started: list[WorkerProcess] = []
        self.stream, self._server = socket.socketpair()
        self.lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
        self.endpoint0 = os.open(directory / "ep0", os.O_RDWR | os.O_CREAT)

    def fork(self, live: Any) -> WorkerProcess:
        """`live` gets the worker's end of the channel, and returns its exit status."""
        self._monkeypatch.setattr(keeper, "run_worker", lambda _u, _r, _p, end, _pump: live(end))
        imported = SimpleNamespace(stream=self.stream, urbs=lambda: None)
        replica = SimpleNamespace(files=frozenset({self.endpoint0}))
        worker = WorkerProcess(
            cast("Any", imported), cast("Any", replica), cast("Any", None), self.lock
        )
        self._started.append(worker)
        return worker

    def ended(self, worker: WorkerProcess) -> None:
        self._started.remove(worker)

    def close(self) -> None:
        for worker in self._started:
            worker.end()
        for end in (self.stream, self._server):
            end.close()
        os.close(self.lock)
        os.close(self.endpoint0)


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Keeping]:
    it = Keeping(monkeypatch, tmp_path)
    yield it
    it.close()


def heard(worker: WorkerProcess) -> str:
    select.select([worker.channel], [], [], LIMIT_S)
    message = worker.channel.receive()
    assert message is not None
    return message.text


def leads_to(number: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{number}").readlink())
    except FileNotFoundError:
        return os.devnull


def test_it_has_no_file_that_it_does_not_need(keeping: Keeping) -> None:
    """Least of all the channel on which its keeper speaks to the supervisor."""
    supervisor, channel_to_it = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def live(end: Channel) -> int:
        kept = {end.fileno(), keeping.stream.fileno(), keeping.lock, keeping.endpoint0}
        numbers = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
        others = {leads_to(number) for number in numbers if number > 2 and number not in kept}
        needed = {leads_to(number) for number in kept}
        end.send(Word.NOTICE, f"{sorted(others)} {os.devnull in needed}")
        try:
            channel_to_it.send(b"ended detached")
        except OSError as error:
            end.send(Word.NOTICE, f"{error.strerror}")
        return 0

    with supervisor, channel_to_it:
        worker = keeping.fork(live)
        assert heard(worker) == f"{[os.devnull]} False"
        assert heard(worker) == "Socket operation on non-socket"
        select.select([worker.pidfd], [], [], LIMIT_S)
        supervisor.setblocking(False)
        with pytest.raises(BlockingIOError):
            supervisor.recv(64)


def test_a_number_that_it_let_go_of_is_nothing_elses(keeping: Keeping) -> None:
    """A log's socket that writes into the stream of a device would be a disaster."""
    log, journal = socket.socketpair()

    def live(end: Channel) -> int:
        opened = {os.open(os.devnull, os.O_RDWR) for _ in range(20)}
        end.send(Word.NOTICE, str(log.fileno() in opened))
        return 0

    with log, journal:
        assert heard(keeping.fork(live)) == "False"


def test_one_that_says_good_bye_and_stays_is_killed(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keeper would wait for it for ever, deaf to SIGTERM."""
    monkeypatch.setattr(keeper, "LEAVE_LIMIT_S", 0.05)

    def live(end: Channel) -> int:
        end.close()
        time.sleep(60)
        return 0

    worker = keeping.fork(live)
    select.select([worker.channel], [], [], LIMIT_S)
    assert worker.channel.receive() is None
    before = time.monotonic()
    assert worker.reap() == "killed by SIGKILL"
    assert time.monotonic() - before < LIMIT_S


def test_one_that_leaves_by_itself_may(keeping: Keeping) -> None:
    def live(end: Channel) -> int:
        select.select([end], [], [], LIMIT_S)  # until the keeper closes it
        return 3

    worker = keeping.fork(live)
    worker.end()
    assert worker.reap() == "exit status 3"
    keeping.ended(worker)
