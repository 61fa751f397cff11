"""Endpoints whose bytes are a stream: what a lost link costs, which is said, and what it does not.

Towards the device: what was on its way is in doubt, said once and never sent again; what the host
had given beside it, and gives while the link is away, follows in order. Towards the host: what had
arrived arrives.
"""

import asyncio
import re
from collections.abc import Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump import Shaping
from gadgetip.pump.shapers import (
    InShaper,
    PacketInShaper,
    PacketOutShaper,
    Shaper,
    ShortInShaper,
    ShortOutShaper,
)
from gadgetip.pump.shapers.out_shaper import OutShaper

from .losses import Losses
from .world import STALL, HangError, Line, StalledError, Word, World, route, stop

SIZE = 64
schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=100, deadline=None)
places = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def numbered(lengths: list[int]) -> list[bytes]:
    """Packets that are told apart: each begins with its number."""
    return [n.to_bytes(2, "big") + bytes(length) for n, length in enumerate(lengths)]


def numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[:2], "big") for packet in packets if packet]


def in_doubt(world: World) -> int:
    """Bytes that a person was told are in doubt."""
    texts = [re.search(r"(\d+) bytes from the host were on", n) for n in world.notices]
    return sum(int(text[1]) for text in texts if text)


def make_out(
    kind: type[OutShaper], seed: int | None, window: int = 4
) -> tuple[World, Line, OutShaper, Losses]:
    world = World(seed)
    line = Line.make(world, route(0x02, window_urbs=window, transfer_bytes=256))
    shaper = kind(line.side, world.context())
    losses = Losses(world, [shaper], lambda: None)
    shaper.start()
    return world, line, shaper, losses


def make_in(
    kind: type[InShaper], seed: int | None, window: int = 4
) -> tuple[World, Line, InShaper, Losses]:
    world = World(seed)
    line = Line.make(world, route(0x81, window_urbs=window, transfer_bytes=256))
    shaper = kind(line.side, world.context())
    losses = Losses(world, [shaper], lambda: None)
    shaper.start()
    return world, line, shaper, losses


lengths = st.lists(st.sampled_from([0, 1, 30, 61, 62]), max_size=25)
"""Behind the number of two bytes; 62 makes a full packet."""


@unhurried
@given(lengths, places, st.integers(1, 6), st.integers(4, 18), schedules)
def test_packets_to_the_device_arrive_once_or_are_said_to_be_in_doubt(
    drawn: list[int], at: list[int], window: int, down: int, seed: int
) -> None:
    async def scenario() -> None:
        world, line, shaper, losses = make_out(PacketOutShaper, seed, window)
        losses.at.extend(at)
        losses.down = down
        sent = numbered(drawn)
        for packet in sent:
            await line.host.put(packet)
        losses.at.clear()
        await losses.over()
        await world.settle()
        arrived = numbers(line.device.received)
        assert arrived == sorted(set(arrived)), "out of order, or twice"
        statistics = shaper.side.statistics
        total = sum(map(len, sent))
        missing = total - sum(map(len, line.device.received))
        assert statistics.moved + statistics.discarded == total
        assert missing <= in_doubt(world) == statistics.discarded
        assert shaper.unconfirmed == 0
        await stop(world, shaper)

    run(scenario())


@pytest.mark.parametrize("kind", [PacketOutShaper, ShortOutShaper])
def test_what_the_host_gives_meanwhile_follows(kind: type[OutShaper]) -> None:
    """Up to the window: behind that the host is NAKed."""

    async def scenario() -> None:
        world, line, shaper, _ = make_out(kind, None)
        sent = numbered([20] * 12)
        line.device.naks = True
        await line.host.put(sent[0])
        await world.settle()
        assert line.device.queued == 1
        world.lose_link(shaper)
        for packet in sent[1:4]:
            await line.host.put(packet)
        with pytest.raises(HangError):
            await line.host.put(sent[4])
        assert shaper.unconfirmed == sum(map(len, sent[1:4]))
        line.device.naks = False
        world.relink()
        await shaper.resume()
        for packet in sent[4:]:
            await line.host.put(packet)
        await world.settle()
        assert numbers(line.device.received) == list(range(1, 12))
        assert len(world.notices) == 1
        assert "22 bytes from the host were on their way" in world.notices[0]

    run(scenario())


def test_nothing_in_doubt_is_nothing_to_say() -> None:
    async def scenario() -> None:
        world, line, _, losses = make_out(PacketOutShaper, None)
        await line.host.put(b"x")
        await world.settle()
        losses.lose()
        await losses.over()
        assert world.notices == []

    run(scenario())


@unhurried
@given(st.integers(0, 8), places, st.integers(4, 18), schedules)
def test_a_halt_of_out_that_is_being_settled_does_not_wedge(
    place: int, at: list[int], down: int, seed: int
) -> None:
    async def scenario() -> None:
        world, line, shaper, losses = make_out(PacketOutShaper, seed)
        losses.at.extend(at)
        losses.down = down
        spoken: list[Word] = [STALL]

        def on_packet(packet: bytes) -> Word | None:
            if len(line.device.received) >= place and spoken:
                return spoken.pop()
            line.device.received.append(packet)
            return None

        line.device.on_packet = on_packet
        sent = numbered([30] * 12)
        for packet in sent:
            while True:
                try:
                    await line.host.put(packet)
                    break
                except StalledError:
                    line.host.clear()
        losses.at.clear()
        await losses.over()
        await world.settle()
        line.host.clear()
        spoken.clear()
        await line.host.put(b"\xff\xff at last")
        await world.settle()
        arrived = numbers(line.device.received)
        assert arrived == sorted(set(arrived))
        assert arrived[-1] == 0xFFFF
        # Whatever is missing was said to be, one way or the other.
        behind = [re.search(r": (\d+) bytes behind the halt", n) for n in world.notices]
        said = in_doubt(world) + sum(int(text[1]) for text in behind if text)
        assert said == shaper.side.statistics.discarded

    run(scenario())


@unhurried
@given(lengths, places, st.integers(1, 6), st.integers(4, 18), schedules)
def test_what_has_arrived_from_the_device_reaches_the_host_once(
    drawn: list[int], at: list[int], window: int, down: int, seed: int
) -> None:
    async def scenario() -> None:
        world, line, shaper, losses = make_in(PacketInShaper, seed, window)
        losses.at.extend(at)
        losses.down = down
        observed: list[bytes] = []
        shaper.observed_by(observed.append)
        said = numbered(drawn)
        heard: list[bytes] = []
        for packet in said:
            line.device.words.append(packet)
            if seed % 2:
                await world.settle()
        while shaper.waiting or world.from_device or world.completions or line.device.words:
            if line.host._requests:
                heard.append(await line.host.get())
            else:
                world.step()
            await asyncio.sleep(0)
        losses.at.clear()
        await losses.over()
        line.device.words.append(b"\xff\xff at last")
        heard.append(await line.host.get())
        assert heard[:-1] == observed[:-1], "other than arrived"
        assert numbers(heard) == sorted(set(numbers(heard)))
        assert shaper.side.statistics.discarded == 0
        await stop(world, shaper)

    run(scenario())


def test_data_that_may_be_lost_is_said_of_bulk_endpoints_that_were_asked() -> None:
    async def scenario() -> None:
        world, _, _, losses = make_in(PacketInShaper, None)
        await world.settle()
        losses.lose()
        await losses.over()
        assert world.notices == [
            "endpoint 0x81: the link was lost; up to 256 bytes that the device sent may be lost"
        ]

    run(scenario())


@pytest.mark.parametrize("report", [b"\0" * 8, b"\1" + bytes(7), b"\0"])
def test_a_report_of_ours_comes_behind_those_of_the_device(report: bytes) -> None:
    async def scenario() -> None:
        world = World()
        way = route(0x81, device_max_packet=8, shaping=Shaping.INTERRUPT, window_urbs=2)
        line = Line.make(world, way)
        shaper = PacketInShaper(line.side, world.context())
        losses = Losses(world, [shaper], lambda: None)
        shaper.start()
        pressed = [bytes([0, 0, n, 0, 0, 0, 0, 0]) for n in (4, 5)]
        line.device.words.extend(pressed)
        await world.settle()
        losses.lose()
        shaper.insert(report)
        assert [await line.host.get() for _ in range(3)] == [*pressed, report]
        await losses.over()
        line.device.words.append(pressed[0])
        assert await line.host.get() == pressed[0]
        with pytest.raises(HangError):
            await line.host.get()

    run(scenario())


@unhurried
@given(st.integers(0, 5), places, st.integers(4, 18), st.booleans(), schedules)
def test_a_halt_of_in_that_is_being_settled_does_not_wedge(
    before: int, at: list[int], down: int, is_short: bool, seed: int
) -> None:
    async def scenario() -> None:
        kind = ShortInShaper if is_short else PacketInShaper
        world, line, shaper, losses = make_in(kind, seed)
        losses.at.extend(at)
        losses.down = down
        line.device.words.extend([*numbered([30] * before), STALL])
        heard: list[bytes] = []
        halts = 0
        for end in (False, True):
            if end:
                losses.at.clear()
                await losses.over()
            await world.settle()
            while line.host.halted or line.host._requests:
                try:
                    heard.append(await line.host.get())
                except StalledError:
                    halts += 1
                    line.host.clear()
                await world.settle()
        assert halts <= 1
        line.device.words.append(b"\xff\xff at last")
        heard.append(await line.host.get())
        assert numbers(heard) == sorted(set(numbers(heard)))
        await stop(world, shaper)

    run(scenario())


def test_half_a_packet_of_the_hosts_is_not_joined_with_what_the_device_says_anew() -> None:
    async def scenario() -> None:
        world = World()
        way = route(0x81, device_max_packet=64, host_max_packet=512, transfer_bytes=128)
        line = Line.make(world, way)
        shaper = ShortInShaper(line.side, world.context())
        losses = Losses(world, [shaper], lambda: None)
        shaper.start()
        line.device.say(b"a" * 128, ended=False)
        await world.settle()
        assert line.host.pending == 0
        losses.lose()
        assert await line.host.get() == b"a" * 128
        await losses.over()
        line.device.say(b"b" * 10)
        assert await line.host.get() == b"b" * 10

    run(scenario())


@unhurried
@given(st.lists(st.integers(0, 700), max_size=8), places, schedules)
def test_short_transfers_to_the_device_stay_whole(
    drawn: list[int], at: list[int], seed: int
) -> None:
    """A transfer that is not in doubt is neither cut nor joined with another."""

    async def scenario() -> None:
        world, line, shaper, losses = make_out(ShortOutShaper, seed)
        losses.at.extend(at)
        sent = [bytes([n]) * length for n, length in enumerate(drawn, 1)]
        for transfer in sent:
            await line.host.send(transfer)
            if len(transfer) % SIZE == 0:
                await line.host.put(b"")
        losses.at.clear()
        await losses.over()
        await world.settle()
        got = b"".join(line.device.received)
        statistics = shaper.side.statistics
        assert statistics.moved + statistics.discarded == sum(drawn)
        assert sum(drawn) - len(got) <= statistics.discarded == in_doubt(world)
        for n, transfer in enumerate(sent, 1):
            assert got.count(bytes([n])) <= len(transfer), "twice"
        assert bytes(sorted(got)) == got, "out of order"
        assert shaper.unconfirmed == 0

    run(scenario())


def test_a_link_that_is_lost_with_the_last_answer_is_lost_again() -> None:
    """Where bringing the device back takes time the link may go in the last moment of it."""

    async def scenario() -> None:
        world, line, shaper, _ = make_out(PacketOutShaper, None)
        world.lose_link(shaper)
        world.relink()
        resuming = asyncio.get_running_loop().create_task(Shaper.resume(shaper))
        await asyncio.sleep(0)
        world.lose_link(shaper)
        with pytest.raises(Exception, match="lost again"):
            await world.finish(resuming)
        assert shaper.held
        assert line.host.pending == 0
        world.relink()
        await world.finish(asyncio.get_running_loop().create_task(Shaper.resume(shaper)))
        await line.host.put(b"x")
        await world.settle()
        assert line.device.received == [b"x"]

    run(scenario())
