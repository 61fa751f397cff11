"""Towards the device, packet by packet: what the host was told is taken arrives, or is reported."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump.shapers import PacketOutShaper

from .world import FAIL, LEAVE, STALL, HangError, Line, StalledError, Word, World, route, stop

SIZE = 64
packets = st.one_of(
    st.binary(min_size=SIZE, max_size=SIZE), st.binary(max_size=SIZE - 1), st.just(b"")
)
schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=60, deadline=None)


def begin(world: World, *, window: int = 8, transfer: int = 256) -> tuple[Line, PacketOutShaper]:
    line = Line.make(world, route(0x02, window_urbs=window, transfer_bytes=transfer))
    shaper = PacketOutShaper(line.side, world.context())
    shaper.start()
    return line, shaper


def refuse_at(line: Line, place: int, word: Word) -> Callable[[bytes], Word | None]:
    """A device that takes `place` packets, then ends one URB with `word`, then takes all."""
    spoken: list[Word] = [word]

    def on_packet(packet: bytes) -> Word | None:
        if len(line.device.received) >= place and spoken:
            return spoken.pop()
        line.device.received.append(packet)
        return None

    return on_packet


@unhurried
@given(st.lists(packets, max_size=40), st.integers(1, 9), schedules)
def test_the_device_gets_the_packets_of_the_host(sent: list[bytes], window: int, seed: int) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin(world, window=window)
        for packet in sent:
            await line.host.put(packet)
        await world.settle()
        assert line.device.received == sent
        assert shaper.unconfirmed == 0
        statistics = shaper.side.statistics
        assert (statistics.moved, statistics.discarded) == (sum(map(len, sent)), 0)
        await stop(world, shaper)

    asyncio.run(scenario())


def test_what_came_in_one_burst_travels_as_one_urb() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world, transfer=3 * SIZE)
        sent = [b"a" * 64, b"b" * 64, b"c" * 64, b"d", b"", b"e" * 64, b"f" * 63]
        requests = list(line.host._requests)
        for request, packet in zip(requests, sent, strict=False):
            request.data[: len(packet)] = packet
            request.moved = len(packet)
            line.host._complete(request, 0)
        while world.completions:
            world.completions.popleft()()
        await world.settle()
        assert line.device.received == sent
        # Three full ones fill a URB; a short one ends one; an empty one is alone.
        assert shaper.side.statistics.urbs == 4

    asyncio.run(scenario())


@pytest.mark.parametrize("window", [1, 2, 7])
def test_a_device_that_does_not_read_stops_the_host(window: int) -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world, window=window)
        line.device.naks = True
        for n in range(window):
            await line.host.put(bytes([n]) * SIZE)
        with pytest.raises(HangError):
            await line.host.put(b"one too many")
        assert shaper.unconfirmed == window * SIZE
        line.device.naks = False
        await line.host.put(b"one more")
        await world.settle()
        assert len(line.device.received) == window + 1
        assert line.host.most_pending <= window

    asyncio.run(scenario())


@unhurried
@given(
    st.lists(packets, max_size=12),
    st.lists(packets, max_size=12),
    st.integers(0, 12),
    st.sampled_from([STALL, FAIL]),
    schedules,
)
def test_what_a_halt_cost_is_counted_and_reported(
    before: list[bytes], after: list[bytes], place: int, word: str, seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin(world)
        line.device.on_packet = refuse_at(line, place, word)
        told = 0
        halted = False
        for packet in before:
            try:
                await line.host.put(packet)
                told += len(packet)
            except StalledError:
                halted = True
                break
        await world.settle()
        if place < len(before):
            assert halted or line.host.halted
        line.host.clear()
        await world.settle()
        got = len(line.device.received)
        if word == STALL:  # a bus error does not keep the device from taking what follows
            assert line.device.received == before[:got]
        delivered = sum(map(len, line.device.received))
        statistics = shaper.side.statistics
        assert statistics.moved == delivered
        assert statistics.discarded == told - delivered
        if told > delivered or (word == FAIL and place < len(before)):
            assert len(world.notices) == 1
            assert f": {told - delivered} bytes behind the halt" in world.notices[0]
        elif place >= len(before):
            assert world.notices == []
        line.device.on_packet = line.device._take
        for packet in after:
            await line.host.put(packet)
        await world.settle()
        assert line.device.received[got:] == after
        assert shaper.unconfirmed == 0
        await stop(world, shaper)

    asyncio.run(scenario())


def test_an_endpoint_may_stay_halted_for_days() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world, window=1)
        stalls = 1100  # more than 2 to that power has no float
        left = [STALL] * stalls
        line.device.on_packet = lambda _: left.pop() if left else None
        while left:
            await world.until(lambda: line.host.halted or bool(line.host._requests), "life")
            line.host.clear()
            await line.host.put(b"again")
            await world.settle()
        line.host.clear()
        await line.host.put(b"at last")
        await world.settle()
        assert not line.host.halted

    asyncio.run(scenario())


def test_a_device_that_leaves_is_reported() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world)
        line.device.on_packet = refuse_at(line, 0, LEAVE)
        await line.host.put(b"into the void")
        await world.settle()
        assert world.gone == 1
        assert shaper.side.statistics.discarded == len(b"into the void")
        await stop(world, shaper)

    asyncio.run(scenario())


@unhurried
@given(st.lists(packets, max_size=10), st.integers(0, 60), st.booleans(), schedules)
def test_stopping_takes_everything_back_at_any_moment(
    sent: list[bytes], steps: int, stalls: bool, seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin(world)
        if stalls:
            line.device.on_packet = refuse_at(line, 1, STALL)
        told = 0
        for packet in sent:
            try:
                await line.host.put(packet)
                told += len(packet)
            except StalledError:
                break
        for _ in range(steps):
            world.step()
            await asyncio.sleep(0)
        await stop(world, shaper)
        delivered = sum(map(len, line.device.received))
        assert line.device.received == sent[: len(line.device.received)]
        assert shaper.unconfirmed == 0
        assert shaper.side.statistics.moved + shaper.side.statistics.discarded == told
        assert shaper.side.statistics.moved <= delivered
        await world.settle()
        assert sum(map(len, line.device.received)) == delivered, "something came after the stop"
        line.host.clear()
        line.device.halted = False
        line.device.on_packet = line.device._take
        line.device.received.clear()
        shaper.start()
        await line.host.put(b"new life")
        await world.settle()
        assert line.device.received == [b"new life"]

    asyncio.run(scenario())


def test_a_packet_taken_while_stopping_does_not_go_to_the_device() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world, window=2)
        line.device.naks = True
        await line.host.put(b"in flight")
        await world.settle()
        stopping = asyncio.get_running_loop().create_task(shaper.stop())
        request = line.host._requests[0]
        request.data[:4] = b"late"
        request.moved = 4
        line.host._complete(request, 0)
        while not world.to_device:
            await asyncio.sleep(0)
        await world.finish(stopping)
        line.device.naks = False
        await world.settle()
        assert line.device.received == []
        assert shaper.side.remote.in_flight == 0
        assert shaper.side.statistics.discarded == len(b"in flight") + len(b"late")

    asyncio.run(scenario())


def test_a_held_shaper_takes_no_more_and_finishes() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world, window=2)
        line.device.naks = True
        await line.host.put(b"1")
        shaper.hold()
        await line.host.put(b"2")  # a read of it was queued before
        await world.settle()
        with pytest.raises(HangError):
            await line.host.put(b"3")
        assert shaper.unconfirmed == 2
        line.device.naks = False
        await world.settle()
        assert line.device.received == [b"1", b"2"]
        assert shaper.unconfirmed == 0

    asyncio.run(scenario())
