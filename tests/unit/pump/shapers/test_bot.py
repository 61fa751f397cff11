"""Mass storage, bulk-only: every way in which a command can go, at every place where it can."""

import asyncio
from collections.abc import Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.usb import SetupPacket

from .storage import Reaction, Stick, cbw, csw
from .world import LEAVE, STALL, StalledError, stop

PACKET, PIECE, WINDOW = 64, 256, 4
schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=60, deadline=None)

LENGTHS = [1, 12, 13, 14, 36, 63, 64, 65, 255, 256, 257, 320, 1024, 1025, 1300, 5000, 8192]
"""Around a packet, a piece, a window; and multiples of all, and of none."""


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def pattern(length: int) -> bytes:
    return bytes(n * 7 % 251 for n in range(length))


def test_a_command_without_data() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        for tag in (1, 2, 3):
            result = await stick.host.command(tag)
            assert (result.data, result.status, result.stalls) == (b"", csw(tag), 0)
        assert len(stick.device.commands) == 3
        assert stick.world.notices == []

    run(scenario())


@pytest.mark.parametrize("length", LENGTHS)
def test_data_in(length: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        for tag in (1, 2):
            stick.device.reactions.append(Reaction(data=pattern(length)))
            result = await stick.host.command(tag, length)
            assert (result.data, result.status, result.stalls) == (pattern(length), csw(tag), 0)
        await stick.world.settle()
        statistics = stick.shaper.in_.statistics
        assert (statistics.moved, statistics.discarded) == (2 * (length + 13), 0)
        assert stick.host.in_.device.most_in_flight <= WINDOW + 1

    run(scenario())


@pytest.mark.parametrize("length", LENGTHS)
def test_data_out(length: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        for tag in (1, 2):
            result = await stick.host.command(tag, length, data=pattern(length))
            assert (result.status, result.stalls) == (csw(tag), 0)
            assert stick.device.taken == pattern(length)
        await stick.world.settle()
        assert stick.shaper.unconfirmed == 0
        assert stick.shaper.out.statistics.moved == 2 * (length + 31)

    run(scenario())


@pytest.mark.parametrize("length", LENGTHS)
def test_data_that_ends_early(length: int) -> None:
    """With a short packet, or an empty one on the boundary of a packet, a piece or a window."""

    async def scenario() -> None:
        stick = Stick.make()
        places = {0, 1, 12, 13, 63, 64, 65, 128, 255, 256, 257, 512, 1023, 1024, 1025, 2048, 4096}
        for tag, place in enumerate(sorted(p for p in places if p < length), 1):
            stick.device.reactions.append(Reaction(data=pattern(place)))
            result = await stick.host.command(tag, length)
            assert (result.data, result.status, result.stalls) == (pattern(place), csw(tag), 0)
        stick.device.reactions.append(Reaction(data=pattern(length)))
        assert (await stick.host.command(99, length)).data == pattern(length)
        assert stick.world.notices == []

    run(scenario())


@pytest.mark.parametrize(("device", "host"), [(1024, 512), (512, 64), (64, 512), (512, 512)])
@pytest.mark.parametrize("place", [0, 1, 511, 512, 513, 1024, 1536, 2048, 3072, 4000, 4096, 6000])
def test_packets_of_another_size_at_the_host(device: int, host: int, place: int) -> None:
    async def scenario() -> None:
        stick = Stick.make(device_max_packet=device, host_max_packet=host, piece=2048)
        for tag, length in ((1, 6000), (2, 6144)):
            stick.device.reactions.append(Reaction(data=pattern(place)))
            result = await stick.host.command(tag, length)
            assert (result.data, result.status, result.stalls) == (pattern(place), csw(tag), 0)
        result = await stick.host.command(3, 6000, data=pattern(6000))
        assert (result.status, stick.device.taken) == (csw(3), pattern(6000))
        stick.device.reactions.append(Reaction(data=pattern(place), stall_in=True))
        result = await stick.host.command(4, 6000 if place % device == 0 else place or 6000)
        assert result.data == pattern(place)
        assert result.status == csw(4)

    run(scenario())


@pytest.mark.parametrize("length", [36, 64, 256, 257, 1024, 1025, 1300, 8192])
@pytest.mark.parametrize("pieces", [0, 1, 4, 5])
def test_a_csw_in_place_of_data(length: int, pieces: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        if (sent := pieces * PIECE) >= length:
            return
        stick.device.reactions.append(Reaction(data=pattern(sent), csw_in_place=True))
        await stick.host.out.host.send(cbw(7, length))
        # To the host it is the end of the data, or more than that, as at the device itself.
        seen = await stick.host.in_.host.receive(max(length, sent + 13))
        assert seen == pattern(sent) + csw(7)
        stick.device.reactions.append(Reaction(data=pattern(length)))
        result = await stick.host.command(8, length)
        assert (result.data, result.status) == (pattern(length), csw(8))

    run(scenario())


@pytest.mark.parametrize("place", [0, 64, 128, 256, 320, 1024, 1088, 2048])
def test_data_in_that_stalls(place: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        for tag in (1, 2):
            stick.device.reactions.append(Reaction(data=pattern(place), stall_in=True))
            result = await stick.host.command(tag, 4096)
            assert (result.data, result.status, result.stalls) == (pattern(place), csw(tag), 1)
        assert stick.host.in_.device.cleared == 2
        assert stick.shaper.in_.statistics.halts == 2
        assert stick.world.notices == []
        stick.device.reactions.append(Reaction(data=pattern(4096)))
        assert (await stick.host.command(3, 4096)).data == pattern(4096)

    run(scenario())


@pytest.mark.parametrize("stalls", [1, 2])
@pytest.mark.parametrize("length", [0, 36, 1300])
def test_a_status_that_stalls(length: int, stalls: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(data=pattern(length), status_stalls=stalls))
        result = await stick.host.command(1, length)
        assert (result.data, result.status, result.stalls) == (pattern(length), csw(1), stalls)
        assert (await stick.host.command(2)).status == csw(2)

    run(scenario())


@pytest.mark.parametrize("length", [0, 64, 256, 1024, 1300])
def test_an_empty_packet_that_nobody_needs(length: int) -> None:
    """Behind data that is complete: hosts know such devices, and read the status again."""

    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(data=pattern(length), extra_empty=1))
        result = await stick.host.command(1, length)
        assert (result.data, result.status) == (pattern(length), csw(1))
        assert (await stick.host.command(2)).status == csw(2)

    run(scenario())


def test_a_device_that_sends_nothing_but_empty_packets_is_not_asked_for_ever() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(extra_empty=10_000))
        await stick.host.out.host.send(cbw(1, 0))
        await stick.world.settle()
        assert stick.host.in_.host.pending <= 2

    run(scenario())


@pytest.mark.parametrize("takes", [0, 1, 3, 4, 5, 20, 31])
def test_data_out_that_stalls(takes: int) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(takes=takes))
        result = await stick.host.command(1, 2048, data=pattern(2048))
        assert stick.device.taken == pattern(2048)[: takes * PACKET]
        assert result.status == csw(1)
        await stick.world.settle()
        assert not stick.host.out.host.halted
        assert stick.host.out.device.cleared == 1
        # The status says what arrived; that the host sent more than that is not for a person.
        assert stick.world.notices == []
        result = await stick.host.command(2, 2048, data=pattern(2048))
        assert (result.status, result.stalls, stick.device.taken) == (csw(2), 0, pattern(2048))

    run(scenario())


def test_data_out_that_stalls_while_the_host_has_more_halts_the_host() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(takes=1))
        await stick.host.out.host.send(cbw(1, 8192, data_in=False))
        with pytest.raises(StalledError) as stalled:
            await stick.host.out.host.send(pattern(8192))
        assert len(stalled.value.data) < 8192
        stick.host.out.host.clear()
        assert await stick.host.in_.host.receive(13) == csw(1)
        assert (await stick.host.command(2)).status == csw(2)

    run(scenario())


def test_data_out_that_stalls_when_the_host_has_sent_all_does_not_halt_it() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(takes=1))
        stick.world.link_up = False
        await stick.host.out.host.send(cbw(1, 1024 - PIECE, data_in=False))
        await stick.host.out.host.send(pattern(1024 - PIECE))
        stick.world.link_up = True
        assert await stick.host.in_.host.receive(13) == csw(1)
        await stick.world.settle()
        assert not stick.host.out.host.halted
        assert (await stick.host.command(2)).stalls == 0

    run(scenario())


def test_data_that_the_host_sends_while_a_stall_is_settled_leaves_nothing_to_halt() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(takes=1))
        await stick.host.out.host.send(cbw(1, 4 * PIECE, data_in=False))
        await stick.host.out.host.send(pattern(3 * PIECE)[: 2 * PIECE])
        await stick.world.until(lambda: stick.shaper.recovering(stick.shaper.out), "the stall")
        stick.world.link_up = False  # the unlinks take their time
        left = 4 * PIECE - 2 * PIECE
        asked = sum(len(r.data) for r in stick.host.out.host._requests)
        assert asked >= left, "this test wants the host to be able to send all"
        await stick.host.out.host.send(pattern(left))
        stick.world.link_up = True
        assert await stick.host.in_.host.receive(13) == csw(1)
        await stick.world.settle()
        assert not stick.host.out.host.halted
        assert (await stick.host.command(2)).status == csw(2)

    run(scenario())


def test_the_window_bounds_what_the_host_is_told_is_taken() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.host.out.device.naks = True
        await stick.host.out.host.send(cbw(1, 8192, data_in=False))
        with pytest.raises(AssertionError, match="never happens"):
            await stick.host.out.host.send(pattern(8192))
        assert stick.shaper.unconfirmed <= 31 + WINDOW * PIECE
        assert stick.host.out.device.most_in_flight <= WINDOW

    run(scenario())


def test_a_host_that_does_not_read_bounds_what_is_asked_of_the_device() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(data=pattern(8192)))
        await stick.host.out.host.send(cbw(1, 8192))
        await stick.world.settle()
        assert stick.host.in_.host.pending == WINDOW
        assert await stick.host.in_.host.receive(8192) == pattern(8192)
        assert await stick.host.in_.host.receive(13) == csw(1)

    run(scenario())


@pytest.mark.parametrize("data_in", [False, True])
def test_an_absurd_length_costs_nothing(data_in: bool) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(silent=True))
        await stick.host.out.host.send(cbw(1, 0xFFFFFFFF, data_in=data_in))
        await stick.world.settle()
        asked = stick.host.in_.device.queued if data_in else stick.host.out.host.pending
        assert asked == WINDOW
        await reset(stick)
        assert (await stick.host.command(2)).status == csw(2)

    run(scenario())


def test_a_command_costs_one_round_trip() -> None:
    """Everything that a command needs is on its way before the device has answered anything."""

    async def scenario() -> None:
        stick = Stick.make()
        stick.host.out.device.naks = stick.host.in_.device.naks = True
        await stick.host.out.host.send(cbw(1, 2 * PIECE))
        await stick.world.settle()
        assert stick.host.out.device.queued == 1
        assert stick.host.in_.device.queued == 3

    run(scenario())


def test_a_device_that_stalls_when_it_is_asked_for_its_status_too_early() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.stalls_early_questions = True
        for tag in (1, 2, 3):
            stick.world.link_up = False
            await stick.host.out.host.send(cbw(tag, 2 * PIECE, data_in=False))
            await stick.host.out.host.send(pattern(2 * PIECE))
            stick.world.link_up = True
            # The host notices nothing of it.
            assert await stick.host.in_.host.receive(13) == csw(tag)
            assert stick.device.taken == pattern(2 * PIECE)
        assert len(stick.world.notices) == 1
        assert "ahead of time" in stick.world.notices[0]
        # Once was enough: from then on it is asked when it wants to be.
        assert stick.host.in_.device.cleared == 1

    run(scenario())


INVALID = [
    b"USBC",
    b"x" * 31,
    cbw(1, 0)[:30],
    cbw(1, 0) + b"\0",
    b"USBS" + bytes(27),
    bytes(64),
]


@pytest.mark.parametrize("block", INVALID)
def test_an_invalid_command_block_is_the_devices_to_refuse(block: bytes) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        await stick.host.out.host.put(block)
        for _ in range(3):  # as long as there was no reset, whatever the host tries stalls
            with pytest.raises(StalledError):
                await stick.host.in_.host.receive(13)
            stick.host.in_.host.clear()
        assert stick.device.is_lost
        await reset(stick)
        stick.device.reactions.append(Reaction(data=pattern(100)))
        result = await stick.host.command(2, 100)
        assert (result.data, result.status) == (pattern(100), csw(2))

    run(scenario())


async def reset(stick: Stick) -> None:
    """Reset recovery, as the pump and a host do it (5.3.4)."""
    setup = SetupPacket(0x21, 0xFF, 0, 0, 0)
    assert stick.shaper.claims(setup)
    await stop(stick.world, stick.shaper)
    stick.device.reset()
    stick.device.reactions.clear()
    stick.shaper.start()
    stick.host.in_.host.clear()
    stick.host.out.host.clear()
    stick.host.in_.device.halted = stick.host.out.device.halted = False


@unhurried
@given(st.booleans(), st.integers(0, 80), st.integers(0, 20), st.booleans(), schedules)
def test_a_reset_in_the_middle_of_a_command(
    data_in: bool, steps: int, packets: int, stalls: bool, seed: int
) -> None:
    async def scenario() -> None:
        stick = Stick.make(seed)
        reaction = Reaction(
            data=pattern(1024 * data_in), stall_in=stalls, takes=3 if stalls else None
        )
        stick.device.reactions.append(reaction)
        await stick.host.out.host.send(cbw(1, 2048, data_in=data_in))
        try:
            for n in range(packets):
                if data_in:
                    if n < 16:
                        await stick.host.in_.host.get()
                else:
                    await stick.host.out.host.put(pattern(PACKET))
        except StalledError:
            pass
        for _ in range(steps):
            stick.world.step()
            await asyncio.sleep(0)
        await reset(stick)
        assert stick.shaper.unconfirmed == 0
        await stick.world.settle()
        assert stick.host.in_.host.pending == 0, "stale data for the next command"
        for tag in (2, 3):
            stick.device.reactions.append(Reaction(data=pattern(700)))
            result = await stick.host.command(tag, 700)
            assert (result.data, result.status, result.stalls) == (pattern(700), csw(tag), 0)

    run(scenario())


@pytest.mark.parametrize("is_status", [False, True])
def test_an_answer_that_crosses_the_unlink_does_not_reach_the_host(is_status: bool) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        stick.device.reactions.append(Reaction(silent=True))
        await stick.host.out.host.send(cbw(1, 0 if is_status else 512))
        await stick.world.settle()
        stopping = asyncio.get_running_loop().create_task(stick.shaper.stop())
        while not stick.world.to_device:
            await asyncio.sleep(0)
        stick.host.in_.device.words.append(b"stale")
        assert stick.host.in_.device._move()
        await stick.world.finish(stopping)
        assert stick.host.in_.host.pending == 0
        assert stick.shaper.in_.statistics.discarded == 5

    run(scenario())


@pytest.mark.parametrize(
    ("setup", "claimed"),
    [
        (SetupPacket(0x21, 0xFF, 0, 0, 0), True),
        (SetupPacket(0x21, 0xFF, 0, 1, 0), False),  # another interface's
        (SetupPacket(0xA1, 0xFE, 0, 0, 1), False),  # Get Max LUN
        (SetupPacket(0x41, 0xFF, 0, 0, 0), False),  # a vendor's request
        (SetupPacket(0x22, 0xFF, 0, 0, 0), False),  # to an endpoint
    ],
)
def test_only_a_reset_of_this_interface_is_claimed(setup: SetupPacket, claimed: bool) -> None:
    async def scenario() -> None:
        assert Stick.make().shaper.claims(setup) is claimed

    run(scenario())


@pytest.mark.parametrize("word", [STALL, LEAVE])
def test_a_device_that_refuses_the_command_block_or_leaves(word: str) -> None:
    async def scenario() -> None:
        stick = Stick.make()
        on_packet = stick.host.out.device.on_packet
        stick.host.out.device.on_packet = lambda _: word
        await stick.host.out.host.send(cbw(1, 512))
        await stick.world.settle()
        assert stick.world.gone == (word == LEAVE)
        stick.host.out.device.on_packet = on_packet
        await reset(stick)
        assert (await stick.host.command(2)).status == csw(2)

    run(scenario())


def test_an_endpoint_may_stay_halted_for_days() -> None:
    async def scenario() -> None:
        stick = Stick.make(window=1)
        stick.device.reactions.append(Reaction(status_stalls=1100))
        await stick.host.out.host.send(cbw(1, 0))
        for _ in range(1100):
            with pytest.raises(StalledError):
                await stick.host.in_.host.receive(13)
            stick.host.in_.host.clear()
        assert await stick.host.in_.host.receive(13) == csw(1)
        assert stick.world.notices == []

    run(scenario())


def test_a_device_that_refuses_a_command_block_both_ways_stalls_the_host_both_ways() -> None:
    """6.6.1: IN stalls until there is a Reset Recovery, OUT stalls or discards."""

    async def scenario() -> None:
        stick = Stick.make()
        out, in_ = stick.host.out, stick.host.in_
        stick.device.is_lost = True
        in_.device.words.extend([STALL] * 1000)
        await out.host.send(cbw(1, 512))
        for _ in range(2):
            await stick.world.until(lambda: out.host.halted, "the stall of OUT")
            with pytest.raises(StalledError):
                await in_.host.receive(512)
            in_.host.clear()
            with pytest.raises(StalledError):
                await out.host.put(b"more")
            out.host.clear()
            await out.host.send(cbw(2, 0))  # the host tries again without a reset
        # It is no device that is asked too early.
        assert not any("ahead of time" in notice for notice in stick.world.notices)
        await reset(stick)
        stick.device.reactions.append(Reaction(data=pattern(100)))
        result = await stick.host.command(3, 100)
        assert (result.data, result.status) == (pattern(100), csw(3))

    run(scenario())


def test_a_command_block_behind_an_invalid_one_goes_to_the_device() -> None:
    async def scenario() -> None:
        stick = Stick.make()
        taken: list[bytes] = []
        stick.host.out.device.on_packet = taken.append
        await stick.host.out.host.put(b"nonsense")
        await stick.host.out.host.put(b"more of it")
        await stick.host.out.host.put(cbw(1, 0))
        await stick.world.settle()
        assert taken == [b"nonsense", b"more of it", cbw(1, 0)]

    run(scenario())


def test_without_read_ahead_one_urb_waits_at_a_time() -> None:
    async def scenario() -> None:
        stick = Stick.make(read_ahead=False)
        for tag in (1, 2):
            stick.device.reactions.append(Reaction(data=pattern(3 * PIECE)))
            result = await stick.host.command(tag, 3 * PIECE)
            assert (result.data, result.status) == (pattern(3 * PIECE), csw(tag))
            await stick.host.command(tag + 2, PIECE, data=pattern(PIECE))
        assert stick.host.in_.device.most_in_flight == 1

    run(scenario())


lengths = st.one_of(st.sampled_from(LENGTHS), st.integers(1, 3000))


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[int, bytes | None, Reaction]:
    """A command, good or bad: its length, its data if it is OUT, what the device does."""
    length = draw(lengths | st.just(0))
    status_stalls = draw(st.sampled_from([0, 0, 0, 1]))
    extra_empty = 0 if status_stalls else draw(st.sampled_from([0, 0, 0, 1]))
    if length and draw(st.booleans()):
        packets = -(-length // PACKET)
        takes = draw(st.none() | st.integers(0, packets - 1))
        return length, pattern(length), Reaction(takes=takes, status_stalls=status_stalls)
    sent = draw(st.integers(0, length) | st.just(length))
    stall = sent < length and draw(st.booleans())
    if stall:
        sent -= sent % PACKET
        return length, None, Reaction(data=pattern(sent), stall_in=True)
    return length, None, Reaction(pattern(sent), False, False, None, status_stalls, extra_empty)


@settings(max_examples=150, deadline=None)
@given(st.lists(exchanges(), min_size=1, max_size=6), st.integers(1, 5), schedules)
def test_any_commands_in_any_order_of_events(
    commands: list[tuple[int, bytes | None, Reaction]], window: int, seed: int
) -> None:
    async def scenario() -> None:
        stick = Stick.make(seed, window=window)
        stick.device.reactions.extend(reaction for _, _, reaction in commands)
        for tag, (length, data, reaction) in enumerate(commands, 1):
            result = await stick.host.command(tag, length, data=data)
            assert result.status == csw(tag)
            if data is None:
                assert result.data == reaction.data
                assert result.stalls == reaction.stall_in + reaction.status_stalls
            elif reaction.takes is None:
                assert stick.device.taken == data
            else:
                assert stick.device.taken == data[: reaction.takes * PACKET]
        await stick.world.settle()
        assert stick.shaper.unconfirmed == 0
        assert stick.host.in_.device.queued == 0
        assert len(stick.device.commands) == len(commands)
        assert stick.world.notices == [], "a device that stalls both ways is not an impatient one"
        # One read waits for the next command.
        assert (stick.host.out.host.pending, stick.host.in_.host.pending) == (1, 0)
        await stop(stick.world, stick.shaper)

    run(scenario())
