"""The keeper of a replica that is held, with a worker that says what a test wants."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gadgetip.attachment import Traffic, keeper
from gadgetip.attachment.channel import Message, Word, channel
from gadgetip.attachment.keeper import Keeper
from gadgetip.attachment.listener import Listener
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.attachment.traffic import pack_traffic
from gadgetip.errors import DeviceUnpluggedError, LinkLostError
from gadgetip.usb import Speed
from tests.unit.pump.stub import tcp_pair

LIMIT_S = 10.0


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A keeper leaves them blocked, for whoever tears the replica down."""
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    for each, handler in before.items():
        signal.signal(each, handler)


class Told(Listener):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def configured(self, speed: Speed | None) -> None:
        self.told.append(speed)

    def notice(self, text: str) -> None:
        self.told.append(text)

    def held(self, reason: str, limit_s: float) -> None:
        self.told.append(("held", reason, limit_s))

    def resumed(self, after_s: float) -> None:
        assert 0 <= after_s < LIMIT_S
        self.told.append("resumed")

    def traffic(self, traffic: Traffic) -> None:
        self.told.append(traffic)


class Recalling:
    """Stands for `Recall`: gives the device back when it is let."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.calls: list[float] = []
        self.there = asyncio.Event()
        self.error: Exception | None = None

    async def again(self, deadline: float) -> Any:
        self.calls.append(deadline)
        await self.there.wait()
        if self.error is not None:
            raise self.error
        ours, _ = tcp_pair()
        return SimpleNamespace(stream=ours, next_seqnum=40, record=SimpleNamespace(devid=0x10008))


class World:
    """A keeper, its worker's end of the channel, and how it ends."""

    def __init__(
        self, *, hold: bool, limit_s: float, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        self.listener = Told()
        self.recall = Recalling(limit_s)
        ours, self.worker = channel()
        process = SimpleNamespace(channel=ours, reap=lambda: "exit status 0")
        recall = cast("Any", self.recall) if hold else None
        self._ends = (ours, self.worker)
        self.keeping = asyncio.ensure_future(
            Keeper(cast("Any", process), self.listener, recall).keep(on_ready)
        )

    async def say(self, word: Word, text: str = "") -> None:
        self.worker.send(word, text)
        await self.settle()

    async def settle(self) -> None:
        """What was said is in the socket: a few turns of the loop are all that it takes."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def given(self) -> Message:
        """What the worker is given next."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                with contextlib.suppress(BlockingIOError):
                    message = self.worker.receive()
                    assert message is not None
                    return message
                await asyncio.sleep(0.001)

    async def ended(self) -> Message | None:
        return await asyncio.wait_for(self.keeping, LIMIT_S)

    def close(self) -> None:
        self.keeping.cancel()
        for end in self._ends:
            end.close()


@contextlib.asynccontextmanager
async def keeping(*, hold: bool = True, limit_s: float = 30) -> AsyncIterator[World]:
    it = World(hold=hold, limit_s=limit_s)
    try:
        await it.settle()
        await it.say(Word.READY)
        yield it
    finally:
        it.close()


def test_a_lost_link_is_held_and_the_worker_gets_another_stream() -> None:
    async def scenario() -> None:
        async with keeping() as it:
            before = asyncio.get_running_loop().time()
            await it.say(Word.LINK_ENDED, "silence")
            assert it.listener.told == [("held", "silence", 30)]
            it.recall.there.set()
            message = await it.given()
            assert message.word is Word.STREAM
            assert json.loads(message.text) == {"devid": 0x10008, "next_seqnum": 40}
            assert message.stream is not None
            message.stream.close()
            assert it.listener.told == [("held", "silence", 30)]
            await it.say(Word.RESUMED)
            assert it.listener.told[1:] == ["resumed"]
            assert not it.keeping.done()
            (deadline,) = it.recall.calls
            assert before + 30 <= deadline <= before + 31

    asyncio.run(scenario())


def test_without_recall_it_is_the_end() -> None:
    async def scenario() -> None:
        async with keeping(hold=False) as it:
            it.worker.send(Word.LINK_ENDED, "silence")
            assert await it.ended() == Message(Word.LINK_ENDED, "silence")
            assert it.listener.told == []

    asyncio.run(scenario())


@pytest.mark.parametrize("word", [Word.DEVICE_GONE, Word.REPLACED, Word.ENDED])
def test_what_is_the_end_with_recall_too(word: Word) -> None:
    async def scenario() -> None:
        async with keeping() as it:
            it.worker.send(word, "why")
            assert await it.ended() == Message(word, "why")
            assert it.listener.told == []

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [LinkLostError("too late"), DeviceUnpluggedError("anew")])
def test_what_recalling_raises_ends_it(error: Exception) -> None:
    async def scenario() -> None:
        async with keeping() as it:
            it.recall.error = error
            await it.say(Word.LINK_ENDED, "silence")
            it.recall.there.set()
            with pytest.raises(type(error), match=str(error)):
                await it.ended()

    asyncio.run(scenario())


def test_a_bug_while_recalling_ends_it() -> None:
    async def scenario() -> None:
        async with keeping() as it:
            it.recall.error = ZeroDivisionError("bug")
            await it.say(Word.LINK_ENDED, "silence")
            it.recall.there.set()
            with pytest.raises(ZeroDivisionError):
                await it.ended()

    asyncio.run(scenario())


def test_a_worker_that_dies_while_it_is_held_ends_it() -> None:
    async def scenario() -> None:
        async with keeping() as it:
            await it.say(Word.LINK_ENDED, "silence")
            it.worker.close()
            assert await it.ended() == Message(Word.ENDED, "the worker died: exit status 0")

    asyncio.run(scenario())


def test_a_worker_that_does_not_get_there_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "RESUME_LIMIT_S", 0.05)

    async def scenario() -> None:
        async with keeping(limit_s=0.1) as it:
            it.recall.there.set()
            await it.say(Word.LINK_ENDED, "silence")
            with pytest.raises(LinkLostError, match="did not get to where the host left it"):
                await it.ended()

    asyncio.run(scenario())


def test_one_that_is_lost_again_in_the_middle_has_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what was given the first time is not waited for any more."""
    monkeypatch.setattr(keeper, "RESUME_LIMIT_S", 0.05)

    async def scenario() -> None:
        async with keeping(limit_s=0.2) as it:
            it.recall.there.set()
            await it.say(Word.LINK_ENDED, "silence")
            await it.given()
            await it.say(Word.LINK_ENDED, "again")
            await it.given()
            await it.say(Word.RESUMED)
            assert it.listener.told == [("held", "silence", 0.2), "resumed"]
            first, second = it.recall.calls
            assert first == second
            await asyncio.sleep(0.3)
            assert not it.keeping.done()

    asyncio.run(scenario())


def test_each_loss_has_a_limit_of_its_own() -> None:
    async def scenario() -> None:
        async with keeping() as it:
            it.recall.there.set()
            for reason in ("one", "two"):
                await it.say(Word.LINK_ENDED, reason)
                await it.given()
                await it.say(Word.RESUMED)
            first, second = it.recall.calls
            assert second > first
            held = [("held", "one", 30), "resumed", ("held", "two", 30), "resumed"]
            assert it.listener.told == held

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [LinkLostError("too late"), None])
def test_a_user_who_stops_it_while_it_is_held_gets_what_he_wanted(
    error: Exception | None,
) -> None:
    """Whatever becomes of the device meanwhile."""

    async def scenario() -> None:
        async with keeping() as it:
            await it.say(Word.LINK_ENDED, "silence")
            signal.raise_signal(signal.SIGTERM)
            assert (await it.given()).word is Word.STOP
            it.recall.error = error
            it.recall.there.set()
            await it.settle()
            await it.say(Word.ENDED, "stopped")
            assert await it.ended() is None

    asyncio.run(scenario())


def test_a_link_that_is_lost_while_it_is_stopped_is_not_held() -> None:
    async def scenario() -> None:
        async with keeping() as it:
            signal.raise_signal(signal.SIGINT)
            assert (await it.given()).word is Word.STOP
            it.worker.send(Word.LINK_ENDED, "silence")
            assert await it.ended() is None
            assert it.listener.told == []
            assert it.recall.calls == []

    asyncio.run(scenario())


def test_what_the_worker_says_is_passed_on() -> None:
    async def scenario() -> None:
        async with keeping() as it:
            traffic = Traffic(1, 2, 3, 4, 5, 6, 7, None)
            for word, text in [
                (Word.CONFIGURED, "high-speed"),
                (Word.CONFIGURED, ""),
                (Word.CONFIGURED, "no speed"),
                (Word.TRAFFIC, pack_traffic(traffic)),
                (Word.TRAFFIC, "nonsense"),
                (Word.NOTICE, "something"),
                (Word.RESUMED, ""),  # nothing was lost
            ]:
                await it.say(word, text)
            assert it.listener.told == [Speed.HIGH, None, None, traffic, "something"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no JSON", "the worker sent no message: it is no JSON"),
        (b'{"word": "stream", "text": "{}"}', "the worker said stream, which is the keeper's word"),
    ],
)
def test_a_worker_that_talks_nonsense_is_ended(data: bytes, said: str) -> None:
    async def scenario() -> None:
        async with keeping() as it:
            it.worker._end.send(data)
            it.worker.send(Word.NOTICE, "and is not heard any more")
            assert await it.ended() == Message(Word.ENDED, said)
            await it.settle()
            assert it.listener.told == []

    asyncio.run(scenario())


def test_a_link_that_is_lost_before_the_host_sees_anything_is_not_held() -> None:
    """There is nothing yet that a host could keep."""
    shown: list[bool] = []

    async def scenario() -> None:
        it = World(hold=True, limit_s=30, on_ready=lambda: shown.append(True))
        try:
            it.worker.send(Word.READY)
            it.worker.send(Word.LINK_ENDED, "silence")
            assert await it.ended() == Message(Word.LINK_ENDED, "silence")
            assert it.listener.told == []
            assert shown == []
        finally:
            it.close()

    asyncio.run(scenario())
