"""The fence: it waits for data that moves, and not again and again for data that does not."""

import asyncio
import time

from gadgetip.pump.fence import Fence
from gadgetip.pump.shapers import PacketOutShaper, Shaper

from .shapers.world import Line, World, route


def make(world: World, address: int) -> tuple[Line, PacketOutShaper]:
    line = Line.make(world, route(address))
    shaper = PacketOutShaper(line.side, world.context())
    shaper.start()
    return line, shaper


async def timed(fence: Fence, limit_s: float, idle_s: float | None) -> tuple[int, float]:
    before = time.monotonic()
    left = await fence.wait(limit_s, idle_s)
    return left, time.monotonic() - before


async def confirm_later(world: World, line: Line, pause_s: float) -> None:
    await asyncio.sleep(pause_s)
    line.device.naks = False
    await world.settle()


def test_nothing_unconfirmed_costs_nothing() -> None:
    async def scenario() -> None:
        world = World()
        _, shaper = make(world, 0x02)
        left, took_s = await timed(Fence(lambda: [shaper], lambda: True), 5, 5)
        assert (left, took_s < 0.05) == (0, True)

    asyncio.run(scenario())


def test_a_device_that_takes_nothing_delays_one_request_and_not_the_next() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = make(world, 0x02)
        fence = Fence(lambda: [shaper], lambda: True)
        line.device.naks = True
        await line.host.put(b"12345")
        await world.settle()
        left, took_s = await timed(fence, 5, 0.05)
        assert (left, 0.05 <= took_s < 1) == (5, True)
        left, took_s = await timed(fence, 5, 0.05)
        assert (left, took_s < 0.04) == (5, True)
        # One who may wait longer does, for what is left of that.
        _, took_s = await timed(fence, 5, 0.2)
        assert 0.05 < took_s < 1
        # It moves again, and so it is worth waiting for.
        later = asyncio.get_running_loop().create_task(confirm_later(world, line, 0))
        await later
        line.device.naks = True
        await line.host.put(b"more")
        await world.settle()
        later = asyncio.get_running_loop().create_task(confirm_later(world, line, 0.02))
        left, _ = await timed(fence, 5, 0.5)
        assert left == 0
        await later

    asyncio.run(scenario())


def test_one_endpoint_that_is_stuck_does_not_hide_another_that_moves() -> None:
    async def scenario() -> None:
        world = World()
        stuck, first = make(world, 0x02)
        moving, second = make(world, 0x04)
        shapers: list[Shaper] = [first, second]
        fence = Fence(lambda: shapers, lambda: True)
        stuck.device.naks = True
        await stuck.host.put(b"stuck")
        await world.settle()
        assert await fence.wait(5, 0.02) == 5
        moving.device.naks = True
        await moving.host.put(b"moving")
        await world.settle()
        later = asyncio.get_running_loop().create_task(confirm_later(world, moving, 0.05))
        assert await fence.wait(5, 0.5) == 5
        assert second.unconfirmed == 0
        await later

    asyncio.run(scenario())


def test_the_end_waits_for_all_it_can_and_a_link_that_ended_for_nothing() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = make(world, 0x02)
        is_open = True
        fence = Fence(lambda: [shaper], lambda: is_open)
        line.device.naks = True
        await line.host.put(b"12345")
        await world.settle()
        assert await fence.wait(5, 0.01) == 5
        left, took_s = await timed(fence, 0.05, None)
        assert (left, took_s >= 0.05) == (5, True)
        is_open = False
        left, took_s = await timed(fence, 5, None)
        assert (left, took_s < 1) == (5, True)

    asyncio.run(scenario())
