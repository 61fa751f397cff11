"""A lane that is lent, taken back and lent again: nobody works beside it, and nobody sleeps.

Each of these went wrong once. A shaper's timers queued reads of its own beside those of its lane;
a lane went on though its shaper held the beginning of a packet back; what a parked lane had taken
from the host was on nobody's account until the loop heard of it; a disk's lane was taken back
before it could read the next CBW, and nobody read it; what waited for company waited for ever.
"""

import asyncio
import errno
import os
import select
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from gadgetip.pump import Shaping
from tests.unit.pump.shapers.storage import cbw, csw
from tests.unit.pump.shapers.world import route
from tests.unit.pump.stub import LIMIT_S

from .bench import Bench, Which, both, needs_native, running

OUT, IN, PACKET = 0x02, 0x81, 64
SOON_S = 0.05
"""What a machine that does other things may take for a few milliseconds."""


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def shaper_of(it: Bench) -> Any:
    return it.pump._shapers[0]


def received(it: Bench, address: int = OUT) -> bytes:
    return b"".join(bytes(each.data) for each in it.server.submits(address))


def numbered(number: int) -> bytes:
    return number.to_bytes(2, "big") + bytes(PACKET - 2)


@both
def test_reads_that_failed_are_not_made_again_beside_the_lane(which: Which) -> None:
    """All of a window fail at once, and each wants to be made again after a pause."""

    async def scenario() -> None:
        async with running(which, [route(OUT, window_urbs=4)]) as it:
            shaper = shaper_of(it)
            file = shaper.side.replica.file
            it.server.held.add(OUT)
            os.set_blocking(file, False)
            await it.host.send(OUT, numbered(0))  # ends the read that waits; the others find none
            await it.server.asked(OUT)
            await it.until(lambda: shaper._later, "a read that is to be made again")
            os.set_blocking(file, True)
            it.server.held.clear()
            await it.server.stub.answer(it.server.waiting[OUT].popleft())
            await it.until(lambda: not shaper._later, "the end of the pause")
            by_python = len(it.python_submits)
            for number in range(1, 200):
                await it.host.send(OUT, numbered(number))
            await it.pulse.until(lambda: len(received(it)) >= 200 * PACKET, "all of it")
            assert received(it) == b"".join(map(numbered, range(200)))
            if which is Which.NATIVE:
                assert len(it.python_submits) == by_python

    run(scenario())


@both
def test_a_lane_does_not_overtake_the_beginning_of_a_packet(which: Which) -> None:
    """The device's packets are shorter than the host's, and an error cuts the data off."""
    way = replace(
        route(IN, window_urbs=2, shaping=Shaping.SHORT, transfer_bytes=4096), host_max_packet=512
    )

    async def scenario() -> None:
        async with running(which, [way]) as it:
            await it.server.asked(IN, 2)
            await it.server.give(IN, (b"a" * 640, -errno.EPROTO))
            await it.host.has(IN, 512)
            await it.recovered()
            await it.server.give(IN, (b"b" * 100, 0), (b"c" * 100, 0))
            await it.pulse.until(lambda: len(it.host.got[IN]) == 3, "three transfers")
            assert it.host.got[IN] == [b"a" * 512, b"a" * 128 + b"b" * 100, b"c" * 100]

    run(scenario())


@needs_native
def test_what_a_parked_lane_has_taken_is_not_confirmed() -> None:
    """Before the loop has heard of it, too: it is how much would be lost at an end."""

    async def scenario() -> None:
        async with running(Which.NATIVE, [route(OUT, window_urbs=4)]) as it:
            shaper, engine = shaper_of(it), it.urbs.engine  # type: ignore[attr-defined]
            it.server.held.add(OUT)
            await it.host.send(OUT, bytes(PACKET))
            await it.server.asked(OUT)
            assert shaper.unconfirmed == PACKET
            os.set_blocking(shaper.side.replica.file, False)  # the next read but one fails
            theirs = next(theirs for address, _, theirs in it.host._open.values() if address == OUT)
            theirs.send(bytes(PACKET))
            told, _, _ = select.select([engine.core.fileno()], [], [], LIMIT_S)
            assert told
            assert shaper.lane.is_lent
            assert shaper.unconfirmed == 2 * PACKET
            engine.hand_out()
            assert not shaper.lane.is_lent
            assert shaper.unconfirmed == 2 * PACKET
            os.set_blocking(shaper.side.replica.file, True)

    run(scenario())


@both
def test_a_disk_that_confirms_late_hears_the_next_command(which: Which) -> None:
    """Its CSW comes before the answer to the URB of the CBW, which waits for ever."""
    disk = [route(address, shaping=Shaping.BOT, transfer_bytes=4096) for address in (IN, OUT)]

    async def scenario() -> None:
        async with running(which, disk) as it:
            it.server.held.add(OUT)
            for tag in range(1, 9):
                await it.host.send(OUT, cbw(tag, 0, data_in=False, block=bytes(6)))
                await it.server.asked(IN)
                await it.server.give(IN, (csw(tag), 0))
                await it.host.has(IN, 13 * tag)
            assert b"".join(it.host.got[IN]) == b"".join(map(csw, range(1, 9)))

    run(scenario())


# --- what waits for company -------------------------------------------------------------------


async def stream_and_tail(it: Bench, sent: int) -> float:
    """Make an endpoint busy, then send one full packet more; how long that took, in seconds.

    `sent` packets went before. The server answers none of them until all are there.
    """
    busy = (sent + 2) * PACKET
    await it.host.send(OUT, bytes(PACKET), bytes(PACKET))
    await it.pulse.until(lambda: len(received(it)) == busy, "a busy endpoint")
    began = time.monotonic()
    await it.host.send(OUT, bytes(PACKET))
    await it.pulse.until(lambda: len(received(it)) == busy + PACKET, "the tail")
    took = time.monotonic() - began
    waiting = it.server.waiting[OUT]
    while waiting:
        await it.server.stub.answer(waiting.popleft())
    await it.until(lambda: it.pump._shapers[0].unconfirmed == 0, "all of it confirmed")
    return took


@both
def test_a_tail_of_full_packets_leaves_though_nothing_is_answered(which: Which) -> None:
    async def scenario() -> None:
        async with running(which, [route(OUT, transfer_bytes=4096)]) as it:
            it.server.held.add(OUT)
            took = [await stream_and_tail(it, 3 * round_) for round_ in range(8)]
            assert min(took) < SOON_S
            if which is Which.NATIVE:
                assert not it.python_submits

    run(scenario())


@needs_native
def test_what_goes_on_beside_it_does_not_make_a_tail_wait() -> None:
    """What wakes the engine up meanwhile concerns another lane."""

    async def scenario() -> None:
        async with running(Which.NATIVE, [route(OUT, transfer_bytes=4096), route(IN)]) as it:
            it.server.held.add(OUT)
            given = 0
            for round_ in range(40):
                await it.server.asked(IN)
                tail = asyncio.get_running_loop().create_task(stream_and_tail(it, 3 * round_))
                while not tail.done() and given < 4 * (round_ + 1):
                    await it.server.give(IN, (b"beside", 0))
                    given += 1
                    await it.host.has(IN, 6 * given)
                await tail

    run(scenario())
