"""A real process at the end of a real leash; no kernel but its sockets and signals."""

import asyncio
import contextlib
import errno
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from gadgetip.supervisor.attachment_process import AttachmentProcess
from gadgetip.supervisor.leash import Leash
from gadgetip.supervisor.messages import Message, News

LIMIT_S = 60.0


class Heard:
    """A process, and all that was heard of it."""

    def __init__(self, live: Callable[[Leash], None]) -> None:
        self.messages: list[Message] = []
        self.lines: list[str] = []
        self.end: list[str] = []
        self.news = asyncio.Event()
        self.process = AttachmentProcess(
            live, on_message=self._heard, on_line=self.lines.append, on_end=self.end.append
        )

    def _heard(self, message: Message) -> None:
        self.messages.append(message)
        self.news.set()

    async def ended(self) -> str:
        async with asyncio.timeout(LIMIT_S):
            await self.process.ended.wait()
        (how,) = self.end
        return how

    async def heard(self, count: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(self.messages) < count:
                self.news.clear()
                await self.news.wait()


def tell(leash: Leash, text: str) -> None:
    leash.send(News.NOTICE, text=text)


def wait_for_ever() -> None:
    select.select([], [], [])


def test_what_it_says_and_prints() -> None:
    def live(leash: Leash) -> None:
        print("out")
        print("error", file=sys.stderr)
        os.write(1, b"no end of line, \xff")
        tell(leash, "hello")

    async def scenario() -> None:
        heard = Heard(live)
        assert await heard.ended() == ""
        assert [message.text("text") for message in heard.messages] == ["hello"]
        assert "error" in heard.lines
        assert any("no end of line, \ufffd" in line for line in heard.lines)
        assert any("out" in line for line in heard.lines)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fail", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
        (os.abort, "killed by SIGABRT"),
        (lambda: sys.exit(3), "exit status 1"),
        (lambda: 1 // 0, "exit status 1"),
    ],
)
def test_how_it_died(fail: Callable[[], object], how: str) -> None:
    def live(leash: Leash) -> None:
        tell(leash, "before")
        fail()

    async def scenario() -> None:
        heard = Heard(live)
        assert await heard.ended() == how
        assert [message.text("text") for message in heard.messages] == ["before"]

    asyncio.run(scenario())


def test_a_traceback_is_in_its_log() -> None:
    def live(_: Leash) -> None:
        raise ZeroDivisionError("nothing to divide by")

    async def scenario() -> None:
        heard = Heard(live)
        await heard.ended()
        assert heard.lines[-1] == "ZeroDivisionError: nothing to divide by"

    asyncio.run(scenario())


def test_stopped_wherever_it_is() -> None:
    """In a pause, in a system call, in an event loop of its own."""

    def in_a_pause(leash: Leash) -> None:
        leash.pause(60)

    def in_a_loop(_: Leash) -> None:
        asyncio.run(asyncio.sleep(60))

    async def scenario() -> None:
        lives: list[Callable[[Leash], None]] = [
            in_a_pause,
            lambda _: wait_for_ever(),
            in_a_loop,
        ]
        for live in lives:

            def begin(leash: Leash, live: Callable[[Leash], None] = live) -> None:
                tell(leash, "on my way")
                live(leash)

            heard = Heard(begin)
            await heard.heard(1)
            heard.process.stop()
            assert await heard.ended() == ""

    asyncio.run(scenario())


def test_stopped_before_it_listens() -> None:
    async def scenario() -> None:
        heard = Heard(lambda _: wait_for_ever())
        heard.process.stop()
        assert await heard.ended() == ""

    asyncio.run(scenario())


def test_woken_up() -> None:
    def live(leash: Leash) -> None:
        tell(leash, "waiting")
        began = time.monotonic()
        woken = leash.pause(60)
        tell(leash, f"{woken} {time.monotonic() - began < 30} {leash.pause(0.01)}")

    async def scenario() -> None:
        heard = Heard(live)
        await heard.heard(1)
        heard.process.wake()
        assert await heard.ended() == ""
        assert heard.messages[-1].text("text") == "True True False"

    asyncio.run(scenario())


def test_signals_of_the_terminal_do_not_reach_it() -> None:
    def live(leash: Leash) -> None:
        tell(leash, f"{os.getsid(0) == os.getpid()}")

    async def scenario() -> None:
        heard = Heard(live)
        await heard.ended()
        assert heard.messages[-1].text("text") == "True"

    asyncio.run(scenario())


def test_it_has_no_file_that_it_does_not_need(tmp_path: Path) -> None:
    """Least of all the supervisor's lock and the channels of others."""

    def live(leash: Leash) -> None:
        tell(leash, str(sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())))

    def stay(leash: Leash) -> None:
        tell(leash, "everything else is closed")
        wait_for_ever()

    async def scenario() -> None:
        with (tmp_path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            first = Heard(stay)
            await first.heard(1)
            heard = Heard(live)
            await heard.ended()
            # 0, 1, 2, the channel, what the leash has, and the directory that is listed
            assert len(heard.messages[0].text("text").split(",")) <= 6
        with (tmp_path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.process.stop()
        await first.ended()

    asyncio.run(scenario())


def test_its_loop_does_not_disturb_ours() -> None:
    def live(leash: Leash) -> None:
        async def inner() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
            await asyncio.sleep(0.01)

        asyncio.run(inner())
        asyncio.run(inner())
        tell(leash, "done")

    async def scenario() -> None:
        got = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)
        heard = Heard(live)
        assert await heard.ended() == ""
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(LIMIT_S):
            await got.wait()

    asyncio.run(scenario())


def test_nonsense_ends_it() -> None:
    def live(leash: Leash) -> None:
        # Whatever numbers they have, which grow with what the tests before have left open.
        for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            if number > 2:
                with contextlib.suppress(OSError):
                    os.write(number, b'{"news": "nonsense"}')
        wait_for_ever()

    async def scenario() -> None:
        heard = Heard(live)
        assert await heard.ended() == "it sent no message: its kind is not known"

    asyncio.run(scenario())


@pytest.mark.parametrize("failing", ["fork", "pidfd_open"])
def test_one_that_cannot_be_made_leaves_nothing(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EAGAIN, "no more of them")

    def of_ours() -> tuple[set[str], str]:
        files = {path.name for path in Path("/proc/self/fd").iterdir()}
        return files, Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    async def scenario() -> None:
        before = of_ours()
        with monkeypatch.context() as broken:
            broken.setattr(os, failing, refuse)
            with pytest.raises(OSError, match="no more of them"):
                Heard(lambda _: wait_for_ever())
        assert of_ours() == before
        heard = Heard(lambda _: None)
        assert await heard.ended() == ""

    asyncio.run(scenario())


def test_it_ends_when_the_supervisor_is_killed() -> None:
    """kill -9 of the process that leads it; the end is in order."""
    reader, writer = os.pipe()

    def live(leash: Leash) -> None:
        tell(leash, "here")
        try:
            wait_for_ever()
        finally:
            print("in order", flush=True)

    def lead() -> None:
        async def scenario() -> None:
            heard = Heard(live)
            await heard.heard(1)
            os.write(writer, f"{heard.process.pid}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(scenario())

    leader = os.fork()
    if leader == 0:
        try:
            lead()
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as said:
        led = os.pidfd_open(int(said.readline()))
    try:
        assert os.WIFSIGNALED(os.waitpid(leader, 0)[1])
        gone, _, _ = select.select([led], [], [], LIMIT_S)
        assert gone, "it goes on without anybody to tell"
    finally:
        os.close(led)
