"""Requests on endpoint files that the kernel does not carry out: made again, in order, or told."""

import asyncio
import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.pump import Shaping
from gadgetip.pump.shapers import PacketInShaper, PacketOutShaper

from .storage import Reaction, Stick, cbw, csw
from .world import STALL, Line, StalledError, World, route, stop

ERRORS = [errno.ENOMEM, errno.EAGAIN, errno.EINPROGRESS, errno.EIO, errno.EOVERFLOW]
QUIET = {errno.EAGAIN, errno.EINPROGRESS, errno.EIO}

schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=60, deadline=None)
packets = st.binary(max_size=64)


@unhurried
@given(
    st.lists(packets, max_size=12),
    st.lists(st.sampled_from([0, *ERRORS]), max_size=12),
    st.integers(1, 5),
    schedules,
)
def test_a_read_that_failed_is_made_again(
    sent: list[bytes], errors: list[int], window: int, seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line = Line.make(world, route(0x02, window_urbs=window))
        shaper = PacketOutShaper(line.side, world.context())
        line.host.errors.extend(-error for error in errors)
        shaper.start()
        for packet in sent:
            await line.host.put(packet)
        await world.settle()
        assert line.device.received == sent
        assert line.host.pending == window
        if set(errors) <= QUIET | {0}:
            assert world.notices == []
        assert len(world.notices) == len(set(world.notices)), "told again and again"
        await stop(world, shaper)

    asyncio.run(scenario())


@unhurried
@given(
    st.lists(packets, max_size=12),
    st.lists(st.sampled_from([0, *ERRORS]), max_size=12),
    schedules,
)
def test_a_write_that_failed_is_made_again_in_its_place_or_the_host_is_told(
    said: list[bytes], errors: list[int], seed: int
) -> None:
    async def scenario() -> None:
        world = World(seed)
        line = Line.make(world, route(0x81, window_urbs=4))
        shaper = PacketInShaper(line.side, world.context())
        line.host.errors.extend(-error for error in errors)
        shaper.start()
        line.device.words.extend(said)
        heard: list[bytes] = []
        statistics = shaper.side.statistics
        while statistics.moved + statistics.discarded < sum(map(len, said)):
            try:
                heard.append(await line.host.get())
            except StalledError:
                line.host.clear()
            await world.settle()
        await world.settle()
        if not statistics.discarded:
            assert b"".join(heard) == b"".join(said)
        else:
            assert any("could not be given to the host" in each for each in world.notices)
            rest = iter(said)
            assert all(any(packet == each for each in rest) for packet in heard if packet)
        await stop(world, shaper)

    asyncio.run(scenario())


@unhurried
@given(st.lists(st.tuples(packets, st.booleans()), max_size=10), schedules)
def test_a_controller_that_hands_back_what_is_under_way(
    said: list[tuple[bytes, bool]], seed: int
) -> None:
    """dwc2, when the host clears a halt: not a byte is lost, doubled or moved."""
    words: list[bytes | str] = []
    for packet, stalls in said:
        words += [packet, STALL] if stalls else [packet]

    async def scenario() -> None:
        world = World(seed)
        line = Line.make(world, route(0x81, window_urbs=4))
        line.host.hands_back = True
        shaper = PacketInShaper(line.side, world.context())
        shaper.start()
        line.device.words.extend(words)
        heard: list[bytes | str] = []
        while len(heard) < len(words):
            try:
                heard.append(await line.host.get())
            except StalledError:
                await world.settle()  # the next write is in the controller when the halt goes
                line.host.clear()
                heard.append(STALL)
        assert heard == words
        assert world.notices == []
        await stop(world, shaper)

    asyncio.run(scenario())


@pytest.mark.parametrize("error", ERRORS)
def test_a_command_whose_read_failed(error: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.host.out.host.errors.append(-error)
        stick.host.out.host.disable()
        await stop(stick.world, stick.shaper)
        stick.host.out.host.enable()
        stick.shaper.start()
        await stick.world.settle()
        assert (await stick.host.command(1)).status == csw(1)
        assert len(stick.world.notices) == (error not in QUIET)

    asyncio.run(scenario())


@unhurried
@given(
    st.integers(1, 1500),
    st.lists(st.sampled_from([0, 0, *ERRORS]), max_size=8),
    schedules,
)
def test_data_whose_reads_failed(length: int, errors: list[int], seed: int) -> None:
    async def scenario() -> None:
        stick = Stick.make(seed)
        data = bytes(n % 251 for n in range(length))
        await stick.world.settle()
        stick.host.out.host.errors.extend(-error for error in errors)
        for tag in (1, 2, 3):
            result = await stick.host.command(tag, length, data=data)
            assert (result.status, stick.device.taken) == (csw(tag), data)
        await stick.world.settle()
        assert (stick.host.out.host.pending, stick.shaper.unconfirmed) == (1, 0)

    asyncio.run(scenario())


def test_a_status_that_was_handed_back() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        await stick.host.out.host.send(cbw(1, 0))
        stick.host.in_.host.errors.append(-errno.EINPROGRESS)
        assert await stick.host.in_.host.receive(13) == csw(1)
        assert stick.world.notices == []

    asyncio.run(scenario())


def test_data_that_could_not_be_written_is_a_halt_and_a_notice() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(data=b"x" * 512))
        stick.host.in_.host.errors.append(-errno.ENOMEM)
        await stick.host.out.host.send(cbw(1, 512))
        with pytest.raises(StalledError):
            await stick.host.in_.host.receive(512)
        stick.host.in_.host.clear()
        assert await stick.host.in_.host.receive(13) == csw(1)
        assert len(stick.world.notices) == 1
        assert "could not be given to the host" in stick.world.notices[0]

    asyncio.run(scenario())


def test_interrupt_packets_are_read_again() -> None:
    async def scenario() -> None:
        world = World()
        way = route(0x02, device_max_packet=8, shaping=Shaping.INTERRUPT, window_urbs=2)
        line = Line.make(world, way)
        shaper = PacketOutShaper(line.side, world.context())
        line.host.errors.extend([-errno.EAGAIN] * 7)
        shaper.start()
        await line.host.put(b"report")
        await world.settle()
        assert line.device.received == [b"report"]

    asyncio.run(scenario())
