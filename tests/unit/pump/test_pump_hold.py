"""A pump that keeps the host waiting while the link is lost, whatever is under way."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gadgetip.errors import LinkLostError
from gadgetip.pump import Shaping
from gadgetip.wire import CmdSubmit

from .shapers.storage import cbw, csw
from .shapers.world import route
from .stub import LIMIT_S, Stub, ret_unlink
from .test_python_pump import BULK_ONLY_RESET, SET_REPORT, Bench, bench, done, start
from .test_relink import LOST, relink, run


@asynccontextmanager
async def holding(
    monkeypatch: pytest.MonkeyPatch, shaping: Shaping = Shaping.PACKET
) -> AsyncIterator[Bench]:
    """A pump that holds, with one pair of endpoints."""
    ways = [route(address, shaping=shaping, window_urbs=2) for address in (0x81, 0x02)]
    async with bench(monkeypatch, *ways, may_hold=True) as it:
        yield it


async def lose(it: Bench, stub: Stub | None = None) -> None:
    (stub or it.ends.stub).stream.shutdown(socket.SHUT_RDWR)
    async with asyncio.timeout(LIMIT_S):
        while it.ends.urbs.ended is None:
            await asyncio.sleep(0)


async def submits(stub: Stub, count: int) -> dict[int, list[CmdSubmit]]:
    found: dict[int, list[CmdSubmit]] = {}
    for _ in range(count):
        submit = await stub.submit()
        found.setdefault(submit.ep, []).append(submit)
    return found


async def drive(it: Bench, task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(LIMIT_S):
        while not task.done():
            it.world.step()
            await asyncio.sleep(0)
    await task


def test_a_pump_that_holds_goes_on_over_the_new_link(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with holding(monkeypatch) as it:
            await it.put(0x02, b"in doubt")
            await submits(it.ends.stub, 3)
            await lose(it)
            await it.put(0x02, b"meanwhile")
            assert await it.pump.fence(LIMIT_S) == len(b"meanwhile")
            it.pump.insert(0x81, b"ours")
            assert await it.hosts[0x81].get() == b"ours"
            while it.world.step():
                pass
            stub = relink(it.ends.urbs)
            await it.pump.resume()
            found = await submits(stub, 3)
            assert [s.data for s in found[2]] == [b"meanwhile"]
            await stub.answer(found[1][0], b"new")
            assert await it.hosts[0x81].get() == b"new"
            kinds = [text.split(":")[0] for text in it.listener.told]
            assert kinds == ["endpoint 0x81", "endpoint 0x02", "link ended"]
            assert it.pump.statistics[0x02].discarded == len(b"in doubt")
            stub.stream.close()

    run(scenario())


def test_a_pump_that_does_not_hold_is_not_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x02, window_urbs=2)) as it:
            await lose(it)
            assert not any(shaper.held for shaper in it.pump._shapers)

    run(scenario())


def test_a_link_lost_while_endpoints_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with holding(monkeypatch) as it:
            await submits(it.ends.stub, 2)
            stopping = asyncio.get_running_loop().create_task(it.pump.stop())
            await it.ends.stub.unlink()
            await lose(it)
            await drive(it, stopping)
            assert it.files.by_file == {}
            stub = relink(it.ends.urbs)
            await it.pump.resume()
            await it.pump.start((route(0x81, window_urbs=1),))
            assert (await stub.submit()).ep == 1
            stub.stream.close()

    run(scenario())


def test_a_link_lost_while_a_request_waits_for_the_data_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with holding(monkeypatch) as it:
            await it.put(0x02, b"never taken")
            await submits(it.ends.stub, 3)
            request = start(it.pump.control(SET_REPORT, b"ab"))
            finish = asyncio.get_running_loop().create_task(it.pump.finish(LIMIT_S))
            await asyncio.sleep(0)
            before = asyncio.get_running_loop().time()
            await lose(it)
            with pytest.raises(LinkLostError):
                await done(request)
            assert await finish == 0, "it is in doubt, and was said to be"
            assert asyncio.get_running_loop().time() - before < LIMIT_S / 2

    run(scenario())


def test_a_link_lost_while_the_device_thinks_about_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with holding(monkeypatch) as it:
            await submits(it.ends.stub, 2)
            request = start(it.pump.control(SET_REPORT, b"ab"))
            await it.ends.stub.submit()
            await lose(it)
            with pytest.raises(LinkLostError):
                await done(request)
            assert all(shaper.held for shaper in it.pump._shapers)

    run(scenario())


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_link_lost_in_the_middle_of_a_bulk_only_reset(
    monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    """The host's reset fails; what it says then is kept until the disk is back."""

    async def scenario() -> None:
        async with holding(monkeypatch, Shaping.BOT) as it:
            reset = start(it.pump.control(BULK_ONLY_RESET))
            while it.hosts[0x02].pending:  # what waited for a CBW is taken back
                it.world.step()
                await asyncio.sleep(0)
            for _ in range(answered):
                await it.ends.stub.answer(await it.ends.stub.submit())
            await it.ends.stub.submit()
            await lose(it)
            with pytest.raises(LinkLostError):
                await done(reset)
            await it.put(0x02, cbw(2, 0))
            assert [shaper.held for shaper in it.pump._shapers] == [True]
            stub = relink(it.ends.urbs)
            await it.pump.resume()
            found = await submits(stub, 2)
            assert found[2][0].data == cbw(2, 0)
            await stub.answer(found[2][0])
            await stub.answer(found[1][0], csw(2))
            assert await it.hosts[0x81].get() == csw(2)
            stub.stream.close()

    run(scenario())


def test_a_link_lost_again_while_the_disk_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with holding(monkeypatch, Shaping.BOT) as it:
            await it.put(0x02, cbw(1, 0))
            found = await submits(it.ends.stub, 2)
            await it.ends.stub.answer(found[2][0])
            await it.ends.stub.answer(found[1][0], csw(1))
            assert await it.hosts[0x81].get() == csw(1)
            await lose(it)
            stub = relink(it.ends.urbs)
            resuming = asyncio.get_running_loop().create_task(it.pump.resume())
            assert (await stub.submit()).data[15] == 0  # TEST UNIT READY
            await lose(it, stub)
            with pytest.raises(LinkLostError):
                await drive(it, resuming)
            assert it.pump._shapers[0].held
            stub.stream.close()

    run(scenario())


def test_an_endpoint_is_observed_from_its_next_start_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with holding(monkeypatch) as it:
            seen: list[bytes] = []
            it.pump.observe(0x81, seen.append)
            first = await submits(it.ends.stub, 2)
            await it.ends.stub.answer(first[1][0], b"before")
            assert await it.hosts[0x81].get() == b"before"
            while it.world.step():
                pass
            stopping = asyncio.get_running_loop().create_task(it.pump.stop())
            again = await it.ends.stub.submit()
            for _ in range(2):
                unlink = await it.ends.stub.unlink()
                await it.ends.stub.send(ret_unlink(unlink, LOST))
            await drive(it, stopping)
            assert again.ep == 1
            await it.pump.start((route(0x81, window_urbs=1),))
            await it.ends.stub.answer(await it.ends.stub.submit(), b"seen")
            assert await it.hosts[0x81].get() == b"seen"
            assert seen == [b"seen"]

    run(scenario())
