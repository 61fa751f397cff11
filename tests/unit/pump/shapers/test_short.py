"""`short`: transfers end where they ended at the other side, whatever the size of the packets."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump import Shaping
from gadgetip.pump.shapers import ShortInShaper, ShortOutShaper

from .world import FAIL, STALL, HangError, Line, StalledError, Word, World, route, stop

SIZES = [(64, 64), (64, 512), (512, 64), (512, 512), (64, 96)]
"""Packets of the device and of the host; the last pair has no whole ratio."""

schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=60, deadline=None)
sizes = st.sampled_from(SIZES)
transfers = st.lists(
    st.integers(0, 1600).map(bytes) | st.sampled_from([64, 512, 1024, 448, 192]).map(bytes),
    max_size=12,
)


def numbered(transfer: bytes, n: int) -> bytes:
    """Other bytes in each transfer, none of them alike in a row."""
    return bytes((n + i) % 251 for i in range(len(transfer)))


def begin_in(
    world: World, device: int, host: int, *, window: int = 4, transfer: int = 1024
) -> tuple[Line, ShortInShaper]:
    way = route(
        0x81,
        device_max_packet=device,
        host_max_packet=host,
        shaping=Shaping.SHORT,
        window_urbs=window,
        transfer_bytes=transfer,
    )
    line = Line.make(world, way)
    shaper = ShortInShaper(line.side, world.context())
    shaper.start()
    return line, shaper


def begin_out(world: World, device: int, host: int) -> tuple[Line, ShortOutShaper]:
    way = route(
        0x02,
        device_max_packet=device,
        host_max_packet=host,
        shaping=Shaping.SHORT,
        window_urbs=4,
        transfer_bytes=1024,
    )
    line = Line.make(world, way)
    shaper = ShortOutShaper(line.side, world.context())
    shaper.start()
    return line, shaper


async def hear(line: Line) -> bytes | str:
    """A transfer as the host sees it, up to its end or a halt, which the host clears."""
    data = b""
    while True:
        try:
            packet = await line.host.get()
        except StalledError:
            line.host.clear()
            return STALL if not data else data.decode("latin-1") + STALL
        data += packet
        if len(packet) < line.host.route.host_max_packet:
            return data


@unhurried
@given(transfers, sizes, st.integers(1, 5), st.sampled_from([64, 100, 1024, 4096]), schedules)
def test_the_host_sees_the_transfers_of_the_device(
    said: list[bytes], pair: tuple[int, int], window: int, transfer: int, seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin_in(world, *pair, window=window, transfer=transfer)
        expected = [numbered(each, n) for n, each in enumerate(said)]
        for each in expected:
            line.device.say(each)
        assert [await hear(line) for _ in expected] == expected
        with pytest.raises(HangError):
            await line.host.get()
        assert shaper.side.statistics.moved == sum(map(len, expected))
        assert line.device.most_in_flight <= window
        await stop(world, shaper)

    asyncio.run(scenario())


@unhurried
@given(st.lists(st.integers(0, 900), min_size=1, max_size=8), sizes, st.data(), schedules)
def test_a_halt_or_an_error_between_transfers_costs_nothing(
    said: list[int], pair: tuple[int, int], data: st.DataObject, seed: int
) -> None:
    words = [data.draw(st.sampled_from([None, STALL, FAIL])) for _ in said]

    async def scenario() -> None:
        world = World(seed)
        # One URB: what is on its way in a second one is lost with an error of the first.
        line, shaper = begin_in(world, *pair, window=1)
        expected: list[bytes | str] = []
        for n, (length, word) in enumerate(zip(said, words, strict=True)):
            transfer = numbered(bytes(length), n)
            line.device.say(transfer)
            expected.append(transfer)
            if word is not None:
                line.device.words.append(word)
            if word == STALL:
                expected.append(STALL)
        assert [await hear(line) for _ in expected] == expected
        await stop(world, shaper)

    asyncio.run(scenario())


def test_what_came_before_a_bus_error_is_not_lost() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin_in(world, 64, 512, window=1)
        whole = numbered(bytes(300), 7)
        line.device.words.extend([whole[:64], whole[64:128], FAIL, whole[128:192]])
        line.device.words.extend([whole[192:256], whole[256:]])
        assert await hear(line) == whole

    asyncio.run(scenario())


def test_what_came_before_a_halt_reaches_the_host_before_it() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin_in(world, 64, 512)
        line.device.words.extend([b"x" * 64, b"y" * 64, STALL])
        assert await line.host.get() == b"x" * 64 + b"y" * 64
        with pytest.raises(StalledError):
            await line.host.get()

    asyncio.run(scenario())


def test_a_long_transfer_is_written_in_pieces_that_the_kernel_can_allocate() -> None:
    async def scenario() -> None:
        world = World()
        line, _ = begin_in(world, 512, 512, transfer=128 * 1024)
        whole = numbered(bytes(100_000), 1)
        line.device.say(whole)
        assert await hear(line) == whole
        assert max(line.host.writes) == 32 * 1024

    asyncio.run(scenario())


@unhurried
@given(transfers, sizes, schedules)
def test_the_device_sees_the_transfers_of_the_host(
    sent: list[bytes], pair: tuple[int, int], seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line, shaper = begin_out(world, *pair)
        device, host = pair
        expected: list[bytes] = []
        for n, each in enumerate(sent):
            whole = numbered(each, n)
            await line.host.send(whole)
            if len(whole) % host == 0:
                await line.host.put(b"")
            cut = [whole[at : at + device] for at in range(0, len(whole), device)]
            expected += cut + [b""] * (len(whole) % device == 0)
        await world.settle()
        assert line.device.received == expected
        assert shaper.unconfirmed == 0
        assert shaper.side.statistics.moved == sum(map(len, sent))
        await stop(world, shaper)

    asyncio.run(scenario())


@unhurried
@given(st.lists(st.sampled_from([b"", b"a" * 64, b"b" * 70, STALL]), max_size=12), schedules)
def test_a_window_of_one_without_read_ahead(words: list[Word], seed: int) -> None:
    async def scenario() -> None:
        world = World(seed)
        way = route(0x81, shaping=Shaping.SHORT, window_urbs=8, read_ahead=False)
        line = Line.make(world, way)
        shaper = ShortInShaper(line.side, world.context())
        shaper.start()
        for word in words:
            if isinstance(word, str):
                line.device.words.append(word)
            else:
                line.device.say(word)
        for _ in words:
            await hear(line)
        assert line.device.most_in_flight == 1
        await stop(world, shaper)

    asyncio.run(scenario())
