"""The worker of a replica that is held: what the host does waits until the device is back."""

import asyncio
import concurrent.futures
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gadgetip.attachment.channel import Channel, Message, Word, channel
from gadgetip.attachment.worker import Worker
from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.gadget import HostEvent
from gadgetip.pump import DeviceChangedError
from gadgetip.usb import SetupPacket

ASKED = SetupPacket.get_descriptor(3, 2, 0x0409, 255)
ACTED = SetupPacket(0x21, 0xFF, 0, 0, 0)
LIMIT_S = 10.0


class World:
    """Everything around a worker; `told` has what the device and the pump are told, in order."""

    def __init__(
        self, keeper: Channel, end: Channel, *, held: bool, control_limit_s: float
    ) -> None:
        self.keeper = keeper
        self.told: list[object] = []
        self.ended: GadgetipError | None = None
        self.stream, self.server = socket.socketpair()
        self.configuration = 0
        self.reset_seen = False
        self.failures: list[Exception] = []
        """What the next steps at the device raise; a lost link is lost then."""
        self.changed = asyncio.Event()
        me = cast("Any", self)
        plan = cast("Any", SimpleNamespace(control_limit_s=control_limit_s))
        self.worker = Worker(me, cast("Any", None), plan, end)
        self.worker._loop = asyncio.get_running_loop()
        self.worker._device = self.worker._controller = me
        self.worker._pump = me
        self.worker._held = me if held else None
        self.worker._loop.add_reader(end.fileno(), self.worker._keeper_spoke)
        following = self.worker._spawn(self.worker._follow())
        following.add_done_callback(self.worker._following_ended)

    # --- the host and the link ---

    def lose(self) -> None:
        self.ended = LinkLostError("silence")
        self.worker.link_ended("silence")

    def back(self) -> socket.socket:
        """The keeper has imported the device again; gives the server's end of the stream."""
        ours, theirs = socket.socketpair()
        link = {"devid": 0x10008, "next_seqnum": 40}
        self.keeper.send_stream(ours, json.dumps(link))
        ours.close()
        return theirs

    def ask(self, setup: SetupPacket = ASKED) -> "asyncio.Future[bytes]":
        """As a thread of endpoint 0 does; one that is never answered outlives no test run."""
        answer: concurrent.futures.Future[bytes] = concurrent.futures.Future()

        def request() -> None:
            try:
                answer.set_result(self.worker.request(setup, b""))
            except GadgetipError as error:
                answer.set_exception(error)

        threading.Thread(target=request, daemon=True).start()
        return asyncio.wrap_future(answer)

    async def heard(self, word: Word) -> Message:
        """The next message, which is this one."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                with contextlib.suppress(BlockingIOError):
                    message = self.keeper.receive()
                    assert message is not None
                    assert message.word is word, message
                    return message
                await asyncio.sleep(0.001)

    async def until_told(self, *steps: object) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(self.told) < len(steps):
                self.changed.clear()
                await self.changed.wait()
        assert self.told == list(steps)

    # --- held, pump, controller and device ---

    def _step(self, step: object) -> None:
        self.told.append(step)
        self.changed.set()

    async def _work(self, step: object) -> None:
        self._step(step)
        await asyncio.sleep(0)
        if self.failures:
            error = self.failures.pop(0)
            if isinstance(error, LinkLostError):
                self.lose()
            raise error

    def link_lost(self) -> None:
        self._step("let go")

    def may_repeat(self, setup: SetupPacket) -> bool:
        return setup == ASKED

    def look(self) -> None:
        """Nothing to see."""

    def relink(self, stream: socket.socket, devid: int, next_seqnum: int) -> None:
        self._step(("relink", devid, next_seqnum))
        self.stream, self.ended = stream, None

    async def restore(self) -> None:
        await self._work("restore")

    async def resume(self) -> None:
        await self._work("resume")

    async def request(self, setup: SetupPacket, data: bytes) -> bytes:
        await self._work(("request", setup.bRequest))
        return data or b"answer"

    async def configure(self, value: int) -> None:
        await self._work(("configure", value))
        self.configuration = value

    async def settings_chosen(self) -> None:
        await self._work("settings chosen")

    async def disabled(self) -> None:
        await self._work("disabled")
        self.configuration = 0


RELINK = ("relink", 0x10008, 40)
BACK = (RELINK, "restore", "resume")
REQUEST = ("request", 6)


@contextlib.asynccontextmanager
async def working(*, held: bool = True, control_limit_s: float = 5.0) -> AsyncIterator[World]:
    keeper, end = channel()
    it = World(keeper, end, held=held, control_limit_s=control_limit_s)
    try:
        yield it
    finally:
        it.worker._loop.remove_reader(end.fileno())
        for task in list(it.worker._tasks):
            task.cancel()
        for each in (keeper, end, it.stream, it.server):
            each.close()


def test_a_lost_link_is_not_the_end() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.lose()
            assert (await it.heard(Word.LINK_ENDED)).text == "silence"
            assert it.server.recv(1) == b""  # the server sees it at once, and frees the device
            assert it.told == ["let go"]
            it.back().close()
            await it.heard(Word.RESUMED)
            assert it.told == ["let go", *BACK]
            assert not it.worker._ended.is_set()

    asyncio.run(scenario())


def test_it_is_where_nothing_is_held() -> None:
    async def scenario() -> None:
        async with working(held=False) as it:
            it.lose()
            await it.heard(Word.LINK_ENDED)
            assert it.worker._ended.is_set()
            assert it.told == []

    asyncio.run(scenario())


@pytest.mark.parametrize("held", [True, False])
def test_a_device_that_left_its_port_is_not_waited_for(held: bool) -> None:
    async def scenario() -> None:
        async with working(held=held) as it:
            it.worker.device_gone()
            it.lose()  # the stream ends as well
            assert (
                await it.heard(Word.DEVICE_GONE)
            ).text == "the server says that the device is gone"
            assert it.worker._ended.is_set()
            with pytest.raises(BlockingIOError):
                it.keeper.receive()

    asyncio.run(scenario())


def test_what_the_host_does_waits_and_follows_in_its_order() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.lose()
            it.worker.event(HostEvent.DISABLE, 1)
            it.worker.event(HostEvent.ENABLE, 1)
            asked = it.ask()
            await it.heard(Word.LINK_ENDED)
            await asyncio.sleep(0.05)
            assert it.told == ["let go"]
            it.back()
            assert await asyncio.wait_for(asked, LIMIT_S) == b"answer"
            assert it.told == ["let go", *BACK, "disabled", ("configure", 1), REQUEST]

    asyncio.run(scenario())


def test_a_request_is_stalled_when_the_link_is_away_for_too_long() -> None:
    """And it is not made when the device is back: its host believes that it failed."""

    async def scenario() -> None:
        async with working(control_limit_s=0.05) as it:
            it.lose()
            with pytest.raises(GadgetipError, match="the link to the server is lost"):
                await asyncio.wait_for(it.ask(ACTED), LIMIT_S)
            it.back()
            assert await asyncio.wait_for(it.ask(), LIMIT_S) == b"answer"
            assert it.told == ["let go", *BACK, REQUEST]

    asyncio.run(scenario())


def test_a_link_that_is_lost_late_stalls_what_still_waits() -> None:
    """A request that waited for something else first does not wait for ever for the link."""

    async def scenario() -> None:
        async with working(control_limit_s=0.05) as it:
            await it.worker._turn.acquire()  # something else takes its time
            asked = it.ask()
            await asyncio.sleep(0.08)
            it.lose()
            with pytest.raises(GadgetipError, match="the link to the server is lost"):
                await asyncio.wait_for(asked, LIMIT_S)

    asyncio.run(scenario())


def test_a_request_in_the_middle_is_made_again_where_it_may() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.failures.append(LinkLostError("silence"))
            asked = it.ask()
            await it.heard(Word.LINK_ENDED)
            assert not asked.done()
            it.back()
            assert await asyncio.wait_for(asked, LIMIT_S) == b"answer"
            assert it.told == [REQUEST, "let go", *BACK, REQUEST]

    asyncio.run(scenario())


def test_and_stalled_where_it_may_not() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.failures.append(LinkLostError("silence"))
            with pytest.raises(LinkLostError, match="silence"):
                await asyncio.wait_for(it.ask(ACTED), LIMIT_S)
            it.back()
            assert await asyncio.wait_for(it.ask(), LIMIT_S) == b"answer"
            assert it.told == [("request", 0xFF), "let go", *BACK, REQUEST]

    asyncio.run(scenario())


def test_a_request_that_the_device_refuses_is_no_lost_link() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.failures.append(GadgetipError("stall"))
            with pytest.raises(GadgetipError, match="stall"):
                await asyncio.wait_for(it.ask(), LIMIT_S)
            assert await asyncio.wait_for(it.ask(), LIMIT_S) == b"answer"

    asyncio.run(scenario())


def test_an_event_in_the_middle_is_acted_on_again() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.failures.append(LinkLostError("silence"))
            it.worker.event(HostEvent.ENABLE, 1)
            await it.heard(Word.LINK_ENDED)
            it.back()
            await it.until_told(("configure", 1), "let go", *BACK, ("configure", 1))

    asyncio.run(scenario())


def test_an_event_that_fails_with_the_link_up_ends_the_worker() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.failures.append(GadgetipError("an endpoint cannot be opened"))
            it.worker.event(HostEvent.ENABLE, 1)
            assert "cannot be opened" in (await it.heard(Word.ENDED)).text

    asyncio.run(scenario())


def test_a_host_that_reset_meanwhile_finds_nothing_of_before() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.configuration = 1
            it.lose()
            it.reset_seen = True
            it.worker.event(HostEvent.DISABLE, 1)
            it.worker.event(HostEvent.ENABLE, 1)
            it.back()
            await it.until_told(
                "let go", RELINK, "disabled", "restore", "resume", "disabled", ("configure", 1)
            )

    asyncio.run(scenario())


@pytest.mark.parametrize("steps", [(RELINK, "restore"), BACK])
def test_a_link_that_is_lost_again_in_the_middle_is_awaited_again(
    steps: tuple[object, ...],
) -> None:
    async def scenario() -> None:
        async with working() as it:
            it.lose()
            await it.heard(Word.LINK_ENDED)
            asked = it.ask()
            if steps == BACK:
                it.failures = [LinkLostError("again")]

                async def restored() -> None:
                    it._step("restore")

                it.restore = restored  # type: ignore[method-assign]
            else:
                it.failures = [LinkLostError("again")]
            it.back()
            await it.heard(Word.LINK_ENDED)
            assert it.told == ["let go", *steps, "let go"]
            assert not asked.done()
            it.back()
            await it.heard(Word.RESUMED)
            assert await asyncio.wait_for(asked, LIMIT_S) == b"answer"
            assert it.told == ["let go", *steps, "let go", *BACK, REQUEST]

    asyncio.run(scenario())


def test_a_device_that_does_not_go_where_it_was_is_another_one() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.lose()
            await it.heard(Word.LINK_ENDED)
            it.failures.append(DeviceChangedError("it has another capacity"))
            it.back()
            assert (await it.heard(Word.REPLACED)).text == "it has another capacity"
            assert it.worker._ended.is_set()

    asyncio.run(scenario())


def test_a_bug_while_it_resumes_ends_the_worker() -> None:
    async def scenario() -> None:
        async with working() as it:
            it.lose()
            await it.heard(Word.LINK_ENDED)
            it.failures.append(ZeroDivisionError("bug"))
            it.back()
            assert "ZeroDivisionError('bug')" in (await it.heard(Word.ENDED)).text

    asyncio.run(scenario())
