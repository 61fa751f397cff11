"""The same story told to both pumps: a disk whose link is lost in the middle of a command.

The lane keeps what a held disk needs, and its shaper goes on with that over another connection. So
a command is told how far it gets: the device says so many pieces, or takes so many, and then the
link is lost. The host gives the rest of its data meanwhile, as it would, and waits. Compared is
what the device heard over each connection, what is on it in the end, what the host got of each
command, byte by byte, the halts, the notices and the statistics. One test holds both to the right
answer besides.
"""

import asyncio
import struct
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.pump import EndpointRoute, Shaping, native_lanes
from gadgetip.pump.shapers import bot_hold
from gadgetip.wire import CmdSubmit
from tests.unit.pump.shapers.storage import cbw, csw
from tests.unit.pump.shapers.world import route
from tests.unit.pump.stub import ret

from .bench import Bench, Which, both, needs_native, running
from .test_differential_packets import timeless, unhurried

OUT, IN = 0x02, 0x81
PIECE = 1024
KEPT = 6000
"""How much of a command is kept here; more than most of the lengths below, less than some."""
READ, WRITE, TEST_UNIT_READY, INQUIRY, REQUEST_SENSE = 0x28, 0x2A, 0x00, 0x12, 0x03
FAILED = 1


@pytest.fixture(autouse=True)
def _keep_little() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bot_hold, "MAX_KEPT_BYTES", KEPT)
        patch.setattr(native_lanes, "MAX_KEPT_BYTES", KEPT)
        yield


@dataclass(frozen=True)
class Command:
    """A command of `length` bytes at a place of its own, and when the link is lost in it.

    That is when the device has said or taken `lost_after` pieces; never, where that is None. It has
    not answered for the last of those that it took unless it `confirms`.
    """

    operation: int
    length: int = 0
    lost_after: int | None = None
    confirms: bool = True

    @property
    def is_in(self) -> bool:
        return self.operation != WRITE

    @property
    def pieces(self) -> int:
        """How many are over before the link is lost; all, where it is not."""
        most = -(-self.length // PIECE)
        return most if self.lost_after is None else min(self.lost_after, most)


def pattern(place: int, length: int) -> bytes:
    return bytes((place * 31 + at) % 251 for at in range(length))


class Disk:
    """The device: it says what it is asked for, until it falls silent."""

    def __init__(self, it: Bench) -> None:
        self.it = it
        self.heard: list[tuple[int, bytes]] = []
        """Of which connection, and each CBW or the data behind it."""
        self.blocks: dict[int, bytes] = {}
        self.connection = 0
        self.silent_after: int | None = None
        """How many words or pieces it is good for; None: for all."""
        self.confirms = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._begin_connection()
        it.server.on_out, it.server.on_in = self.on_out, self.on_in

    def _begin_connection(self) -> None:
        self.silent_after, self.confirms = None, True
        self.words: list[bytes] = []
        self.left = 0
        self.data = b""

    def is_reset(self) -> None:
        """Another connection, behind a reset."""
        self.connection += 1
        self._begin_connection()

    def on_out(self, submit: CmdSubmit) -> bool:
        data = bytes(submit.data)
        if self.left == 0:
            self.heard.append((self.connection, data))
            self._command(data)
        else:
            self._take(data)
        if self.confirms or self.silent_after != 0 or not self.data:
            self._later(self.it.server.stub.send(ret(submit)))
        self._speak()
        return True

    def _command(self, block: bytes) -> None:
        self.tag, length, flags = struct.unpack("<IIB", block[4:13])
        self.place = (
            block[20] if block[15] in (READ, WRITE) else 0
        )  # it says who it is the same way
        self.data = b""
        if length and not flags & 0x80:
            self.left = length
            return
        data = self.blocks.get(self.place, pattern(self.place, length))[:length]
        self.words = [data[at : at + PIECE] for at in range(0, length, PIECE)]
        self.words.append(csw(self.tag))

    def _take(self, data: bytes) -> None:
        self.data += data
        self.left -= len(data)
        if self.silent_after is not None:
            self.silent_after -= 1
        if self.left == 0:
            self.heard.append((self.connection, self.data))
            self.blocks[self.place] = self.data
            self.words = [csw(self.tag)]

    def on_in(self, _address: int) -> None:
        self._speak()

    def _speak(self) -> None:
        waiting = self.it.server.waiting[IN]
        while self.words and waiting and self.silent_after != 0:
            if self.silent_after is not None:
                self.silent_after -= 1
            submit = waiting.popleft()
            self._later(self.it.server.stub.send(ret(submit, self.words.pop(0))))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Host:
    """The host's driver: a CBW, the data, the CSW; the reason, where a command has failed."""

    def __init__(self, it: Bench, disk: Disk) -> None:
        self.it, self.disk = it, disk
        self.tag = 0
        self.results: list[bytes] = []

    async def carries_out(self, command: Command) -> None:
        it, disk = self.it, self.disk
        self.tag += 1
        got = it.host.got[IN]
        del got[:]
        if command.lost_after is not None:
            disk.silent_after, disk.confirms = command.pieces, command.confirms
        block = bytes([command.operation, 0, 0, 0, 0, self.tag, 0, 0, 0, 0])
        heard = len(disk.heard)
        await it.host.send(OUT, cbw(self.tag, command.length, data_in=command.is_in, block=block))
        if command.operation != REQUEST_SENSE:  # which the replica may answer itself
            await it.pulse.until(lambda: len(disk.heard) > heard, "the CBW")
        data = [] if command.is_in else cut(pattern(self.tag + 100, command.length))
        await it.host.send(OUT, *data[: command.pieces])
        if command.lost_after is not None:
            await self._lose(command)
            await it.host.send(OUT, *data[command.pieces :])
            await it.relink()
            await it.pump.resume()
        await it.pulse.until(self._has_status, "the CSW")
        self.results.append(b"".join(got))
        await it.recovered()
        await it.until(self._expects_a_command, "a read for the next CBW")
        if self.results[-1][-1] == FAILED:
            await self.carries_out(Command(REQUEST_SENSE, 18))

    async def _lose(self, command: Command) -> None:
        it, disk = self.it, self.disk
        moved = min(command.length, command.pieces * PIECE)
        if command.is_in:
            await it.host.has(IN, moved)
        else:
            await it.pulse.until(lambda: len(disk.data) >= moved, "data at the device")
        last = (
            0 if command.is_in or command.confirms else moved - max(0, command.pieces - 1) * PIECE
        )
        shaper = it.pump._shapers[0]
        await it.until(lambda: shaper.unconfirmed == last, "the answers of the device")
        await it.lose_link()
        disk.is_reset()

    def _has_status(self) -> bool:
        wanted = csw(self.tag)[:8]
        return any(each[-13:].startswith(wanted) for each in self.it.host.got[IN])

    def _expects_a_command(self) -> bool:
        shaper: Any = self.it.pump._shapers[0]
        pending = shaper.out.replica.pending
        by_lane = shaper.lane is not None and shaper.lane.is_lent
        return by_lane or bool(pending == 1 and shaper._expecting)

    async def is_idle_meanwhile(self) -> None:
        """The link is lost and back while no command is under way."""
        await self.it.lose_link()
        self.disk.is_reset()
        await self.it.relink()
        await self.it.pump.resume()
        await self.it.until(self._expects_a_command, "a read for the next CBW")


def cut(data: bytes) -> list[bytes]:
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


Step = Callable[[Host], Any]


def ways(window: int) -> list[EndpointRoute]:
    return [
        route(address, shaping=Shaping.BOT, transfer_bytes=PIECE, window_urbs=window)
        for address in (OUT, IN)
    ]


def does(command: Command) -> Step:
    return lambda host: host.carries_out(command)


def told_by(which: Which, window: int, steps: list[Step]) -> tuple[Any, ...]:
    async def story() -> tuple[Any, ...]:
        async with running(which, ways(window), may_hold=True) as it:
            host = Host(it, Disk(it))
            for step in steps:
                await step(host)
            fetched = sum(map(len, host.results))
            await it.until(lambda: it.pump.statistics[IN].moved >= fetched, "the last completions")
            counted = it.pump.statistics
            return (
                host.disk.heard,
                host.disk.blocks,
                host.results,
                it.host.halts,
                sorted(map(timeless, it.listener.told)),
                [
                    (each.moved, each.discarded, each.halts, each.errors)
                    for each in (counted[OUT], counted[IN])
                ],
            )

    return asyncio.run(story())


lengths = st.sampled_from([1, 13, 64, 1023, 1024, 1025, 4096, 5000, 7000])
losses = st.one_of(st.none(), st.integers(0, 7))

commands = st.one_of(
    st.builds(Command, st.sampled_from([READ, WRITE]), lengths, losses, st.booleans()),
    st.builds(Command, st.just(TEST_UNIT_READY), st.just(0), losses),
    st.builds(Command, st.just(INQUIRY), st.just(36), losses),
)


@needs_native
@unhurried
@given(
    st.integers(1, 5),
    st.lists(
        st.one_of(commands.map(does), st.just(lambda host: host.is_idle_meanwhile())), max_size=6
    ),
)
def test_a_link_that_is_lost_in_the_middle_of_a_command(window: int, steps: list[Step]) -> None:
    assert told_by(Which.PYTHON, window, steps) == told_by(Which.NATIVE, window, steps)


@both
@pytest.mark.parametrize("lost_after", [0, 2, 5])
@pytest.mark.parametrize("confirms", [True, False])
def test_the_host_sees_nothing_of_it(which: Which, lost_after: int, confirms: bool) -> None:
    """A READ, and a WRITE that is kept, are carried out again; data is neither lost nor doubled."""
    size = 5 * PIECE
    steps = [
        does(Command(WRITE, size, lost_after, confirms)),
        does(Command(READ, size, lost_after)),
        does(Command(READ, size)),
    ]
    heard, blocks, results, halts, _, _ = told_by(which, 2, steps)
    assert results == [csw(1), *(pattern(tag, size) + csw(tag) for tag in (2, 3))]
    assert blocks == {1: pattern(101, size)}
    assert {connection for connection, _ in heard} == {0, 1, 2}
    assert not halts
