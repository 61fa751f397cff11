"""The worker where something fails that nothing else catches."""

import asyncio
from typing import Any, cast

import pytest

from gadgetip.attachment.channel import Word, channel
from gadgetip.attachment.worker import Worker
from gadgetip.errors import GadgetipError
from gadgetip.usb import SetupPacket


def make_worker(keeper: Any) -> Worker:
    nothing = cast("Any", None)
    worker = Worker(nothing, nothing, nothing, keeper)
    worker._loop = asyncio.get_running_loop()
    return worker


def test_a_callback_that_fails_ends_the_worker() -> None:
    keeper, end = channel()

    async def fail() -> None:
        worker = make_worker(end)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(worker._callback_failed)
        loop.call_soon({"there": 0}.__getitem__, "missing")
        await asyncio.wait_for(worker._ended.wait(), 5)

    asyncio.run(fail())
    message = keeper.receive()
    assert message is not None
    assert message.word is Word.ENDED
    assert "KeyError('missing')" in message.text


def test_a_control_request_under_way_at_the_end_is_stalled() -> None:
    _, end = channel()
    setup = SetupPacket.set_configuration(1)

    async def leave() -> tuple[Worker, "asyncio.Future[bytes]"]:
        worker = make_worker(end)
        await worker._busy.acquire()
        asked = asyncio.ensure_future(asyncio.to_thread(worker.request, setup, b""))
        await asyncio.sleep(0.05)
        others = asyncio.all_tasks() - {asyncio.current_task(), asked}
        for task in others:
            task.cancel()
        with pytest.raises(GadgetipError, match="ending"):
            await asked
        return worker, asked

    worker, _ = asyncio.run(leave())
    with pytest.raises(GadgetipError, match="ending"):
        worker.request(setup, b"")
