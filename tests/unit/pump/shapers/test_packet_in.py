"""Towards the host, packet by packet: the same packets in the same order, halts in place."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump import Shaping
from gadgetip.pump.shapers import PacketInShaper, base
from gadgetip.pump.shapers.in_shaper import MAX_BUS_ERRORS

from .world import FAIL, LEAVE, STALL, HangError, Line, StalledError, Word, World, route, stop

SIZE = 64
packets = st.one_of(
    st.binary(min_size=SIZE, max_size=SIZE), st.binary(max_size=SIZE - 1), st.just(b"")
)
schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=60, deadline=None)


def begin(world: World, *, window: int = 8, transfer: int = 256) -> tuple[Line, PacketInShaper]:
    line = Line.make(world, route(0x81, window_urbs=window, transfer_bytes=transfer))
    shaper = PacketInShaper(line.side, world.context())
    shaper.start()
    return line, shaper


async def hear(line: Line, count: int) -> list[Word]:
    """What the host sees: packets, and halts, which it clears."""
    heard: list[Word] = []
    while len(heard) < count:
        try:
            heard.append(await line.host.get())
        except StalledError:
            heard.append(STALL)
            line.host.clear()
    return heard


@unhurried
@given(st.lists(st.one_of(packets, st.just(STALL)), max_size=40), st.integers(1, 9), schedules)
def test_the_host_sees_what_the_device_says(words: list[Word], window: int, seed: int) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin(world, window=window)
        line.device.words.extend(words)
        assert await hear(line, len(words)) == words
        with pytest.raises(HangError):
            await line.host.get()
        moved = sum(len(word) for word in words if isinstance(word, bytes))
        assert (shaper.side.statistics.moved, shaper.side.statistics.discarded) == (moved, 0)
        assert shaper.side.statistics.halts == words.count(STALL) == line.device.cleared
        await stop(world, shaper)

    asyncio.run(scenario())


def test_what_has_arrived_is_merged_as_far_as_packets_are_full() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world, transfer=3 * SIZE)
        words = [b"a" * 64, b"b" * 64, b"c" * 64, b"d" * 64, b"e", b"", b"f" * 64, b""]
        line.device.words.extend(words)
        await world.settle()
        assert await hear(line, len(words)) == words
        # Two writes are out before anything else has arrived.
        assert line.host.writes == [64, 64, 129, 0, 64, 0]

    asyncio.run(scenario())


@pytest.mark.parametrize("window", [1, 2, 5])
def test_a_host_that_does_not_read_stops_the_device(window: int) -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world, window=window)
        words: list[Word] = [bytes([n]) * SIZE for n in range(20)]
        line.device.words.extend(words)
        await world.settle()
        assert len(words) - len(line.device.words) == window
        assert await hear(line, 20) == words
        assert line.device.most_in_flight == window

    asyncio.run(scenario())


def test_a_halt_waits_for_the_data_before_it() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world)
        line.device.words.extend([b"one", b"two", STALL, b"three"])
        await world.settle()
        assert not line.host.halted
        assert line.device.cleared == 0
        assert await hear(line, 4) == [b"one", b"two", STALL, b"three"]

    asyncio.run(scenario())


def test_after_a_halt_one_urb_goes_first_and_the_window_opens_when_it_succeeds() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world, window=6)
        line.device.words.append(STALL)
        assert await hear(line, 1) == [STALL]
        await world.settle()
        assert line.device.queued == 1
        line.device.words.append(b"works again")
        assert await hear(line, 1) == [b"works again"]
        await world.settle()
        assert line.device.queued == 6

    asyncio.run(scenario())


def test_an_endpoint_may_stay_halted_for_days() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world, window=1)
        stalls = 1100  # more than 2 to that power has no float
        line.device.words.extend([STALL] * stalls)
        line.device.words.append(b"at last")
        assert await hear(line, stalls + 1) == [STALL] * stalls + [b"at last"]
        assert world.notices == []

    asyncio.run(scenario())


def test_the_pause_before_rearming_doubles_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(pause: float) -> None:
        pauses.append(pause)

    monkeypatch.setattr(base, "REARM_S", (0.001, 0.1))
    monkeypatch.setattr("gadgetip.pump.shapers.base.asyncio.sleep", sleep)

    async def scenario() -> None:
        for stalls in (0, 1, 2, 3, 8, 10**9):
            await base.pause_before_rearming(stalls)

    asyncio.run(scenario())
    assert pauses == [0.001, 0.002, 0.004, 0.1, 0.1]


@unhurried
@given(st.lists(packets, min_size=1, max_size=10), st.integers(0, 9), schedules)
def test_a_bus_error_is_tried_again(words: list[bytes], place: int, seed: int) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin(world, window=1)
        spoken: list[Word] = [*words]
        for _ in range(MAX_BUS_ERRORS):
            spoken.insert(min(place, len(words)), FAIL)
        line.device.words.extend(spoken)
        assert await hear(line, len(words)) == words
        await world.settle()
        assert shaper.side.statistics.errors == MAX_BUS_ERRORS
        assert world.notices == []

    asyncio.run(scenario())


def test_an_endpoint_that_fails_again_and_again_is_halted_and_reported() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world)
        line.device.words.extend([FAIL] * (MAX_BUS_ERRORS + 1))
        assert await hear(line, 1) == [STALL]
        assert len(world.notices) == 1
        assert "endpoint 0x81 fails at the device (status -71)" in world.notices[0]
        line.device.words.append(b"works again")
        assert await hear(line, 1) == [b"works again"]

    asyncio.run(scenario())


def test_an_endpoint_that_never_works_again_is_reported_once() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin(world)
        line.device.words.extend([FAIL] * 50)
        await world.settle()
        for _ in range(20):
            line.host.clear()
            await world.settle()
        assert len(world.notices) == 1

    asyncio.run(scenario())


def test_a_device_that_leaves_is_reported() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world)
        line.device.words.extend([b"last words", LEAVE])
        assert await hear(line, 1) == [b"last words"]
        await world.settle()
        assert world.gone == 1
        await stop(world, shaper)

    asyncio.run(scenario())


@unhurried
@given(
    st.lists(st.one_of(packets, st.just(STALL)), max_size=12),
    st.integers(0, 60),
    st.booleans(),
    schedules,
)
def test_stopping_takes_everything_back_at_any_moment(
    words: list[Word], steps: int, disabled: bool, seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin(world)
        line.device.words.extend(words)
        for _ in range(steps):
            world.step()
            await asyncio.sleep(0)
        if disabled:
            line.host.disable()
        await stop(world, shaper)
        line.device.words.clear()
        line.device.halted = False
        line.host.disable()
        line.host.enable()
        shaper.start()
        line.device.words.append(b"new life")
        assert await hear(line, 1) == [b"new life"]

    asyncio.run(scenario())


def test_an_answer_that_crosses_the_unlink_does_not_reach_the_host() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world, window=2)
        await world.settle()
        line.device.words.append(b"stale")
        stopping = asyncio.get_running_loop().create_task(shaper.stop())
        while not world.to_device:
            await asyncio.sleep(0)
        assert line.device._move()  # the answer is on its way before the unlinks are there
        await world.finish(stopping)
        assert line.host.pending == 0
        assert shaper.side.statistics.discarded == len(b"stale")

    asyncio.run(scenario())


def test_a_held_shaper_asks_for_no_more() -> None:
    async def scenario() -> None:
        world = World()
        line, shaper = begin(world, window=2)
        await world.settle()
        shaper.hold()
        line.device.words.extend([b"1", b"2", b"3"])
        assert await hear(line, 2) == [b"1", b"2"]
        await world.settle()
        assert list(line.device.words) == [b"3"]
        assert shaper.unconfirmed == 0

    asyncio.run(scenario())


def test_interrupt_reports_are_never_stale_by_more_than_the_window() -> None:
    async def scenario() -> None:
        world = World()
        way = route(0x81, device_max_packet=8, shaping=Shaping.INTERRUPT, window_urbs=2)
        line = Line.make(world, way)
        PacketInShaper(line.side, world.context()).start()
        line.device.words.extend([b"old1", b"old2"])
        await world.settle()
        line.device.words.append(b"newest")
        assert await hear(line, 3) == [b"old1", b"old2", b"newest"]

    asyncio.run(scenario())
