"""The same story told to both pumps: mass storage, bulk-only.

One command after the other, as a host sends them, to a device that does what the story says with
each. Compared is every CBW and all data that reached the device, what the host got back, byte by
byte, the halts in their order, the control requests, the notices and the statistics. How many URBs
were posted for data that the device never sent may differ, and that is all.
"""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import SetupPacket
from gadgetip.wire import CmdSubmit
from tests.unit.pump.shapers.storage import cbw, csw
from tests.unit.pump.shapers.world import route
from tests.unit.pump.stub import ret

from .bench import Bench, Late, Which, both, needs_native, running
from .test_differential_packets import unhurried

OUT, IN = 0x02, 0x81
PIECE = 1024
READ, WRITE, TEST_UNIT_READY, INQUIRY, MODE_SENSE = 0x28, 0x2A, 0x00, 0x12, 0x1A
RESET = SetupPacket(0x21, 0xFF, 0, 0, 0)


@dataclass(frozen=True)
class Command:
    """A command, and what the device makes of it.

    It gives or takes `moves` of `length` bytes, all where that is None; then it may stall or fail
    (`status` of the URB); `answer` is bCSWStatus.
    """

    operation: int
    length: int = 0
    moves: int | None = None
    status: int = 0
    answer: int = 0
    wrong_tag: bool = False

    @property
    def is_in(self) -> bool:
        return self.operation != WRITE

    @property
    def moved(self) -> int:
        return self.length if self.moves is None else min(self.moves, self.length)


def pattern(tag: int, length: int) -> bytes:
    return bytes((tag * 31 + at) % 251 for at in range(length))


class Disk:
    """The device: what it sends is queued, and each IN URB takes the next of it."""

    def __init__(self, it: Bench) -> None:
        self.it = it
        self.command = Command(0)
        self.tag = 0
        self.left = 0
        self.heard: list[bytes] = []
        self.data = b""
        self.words: list[tuple[bytes, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        it.server.on_out = self.on_out
        it.server.on_in = self.on_in
        it.server.on_control = self.on_control
        self.obeys_halts = True

    def expect(self, command: Command, tag: int) -> None:
        self.command, self.tag = command, tag

    def on_out(self, submit: CmdSubmit) -> bool:
        data, status = bytes(submit.data), 0
        if self.left == 0:
            self.heard.append(data)
            self._begin()
        else:
            self.data += data
            self.left -= len(data)
            taken = len(self.data)
            if self.command.status and taken >= self.command.moved:
                self.left, status = 0, self.command.status
            if self.left == 0:
                self.heard.append(self.data)
                self._say_status()
        self._later(self.it.server.stub.send(ret(submit, status=status)))
        self._speak()
        return True

    def _begin(self) -> None:
        command = self.command
        self.data, self.words = b"", []
        if command.length and not command.is_in:
            self.left = command.length
            return
        data = pattern(self.tag, command.moved)
        while data:
            self.words.append((data[:PIECE], 0))
            data = data[PIECE:]
        ends_full = command.moved < command.length and command.moved % PIECE == 0
        if command.status:
            self.words.append((b"", command.status))
        elif ends_full:
            self.words.append((b"", 0))
        self._say_status()

    def _say_status(self) -> None:
        tag = self.tag + self.command.wrong_tag
        residue = self.command.length - self.command.moved
        self.words.append((csw(tag, residue, self.command.answer), 0))

    def on_control(self, setup: bytes) -> None:
        if setup == SetupPacket.clear_halt(IN).pack():
            self.it.server.halted.discard(IN)

    def on_in(self, _address: int) -> None:
        self._speak()

    def _speak(self) -> None:
        waiting, halted = self.it.server.waiting[IN], self.it.server.halted
        while self.words and waiting and IN not in halted:
            data, status = self.words.pop(0)
            submit = waiting.popleft()
            assert len(data) <= submit.transfer_buffer_length
            self._later(self.it.server.stub.send(ret(submit, data, status)))
            if status and self.obeys_halts:
                halted.add(IN)

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Host:
    """The host's driver: a CBW, the data, the CSW; a halt ends the data."""

    def __init__(self, it: Bench, disk: Disk) -> None:
        self.it, self.disk = it, disk
        self.tag = 0
        self.results: list[bytes] = []

    async def carries_out(self, command: Command) -> None:
        it = self.it
        self.tag += 1
        self.disk.expect(command, self.tag)
        got, halts = it.host.got[IN], len(it.host.halts)
        del got[:]
        await it.host.send(OUT, self._block(command))
        if not command.is_in:
            await self._give(command, halts)
        wanted = csw(self.tag + command.wrong_tag)[:8]
        await it.pulse.until(lambda: any(each[-13:].startswith(wanted) for each in got), "the CSW")
        self.results.append(b"".join(got))
        await it.recovered()
        await it.until(self._expects_a_command, "a read for the next CBW")

    def _block(self, command: Command) -> bytes:
        block = bytes([command.operation, 0, 0, 0, 0, 0])
        return cbw(self.tag, command.length, data_in=command.is_in, block=block)

    async def _give(self, command: Command, halts: int) -> None:
        data = pattern(self.tag, command.length)
        while data and len(self.it.host.halts) == halts:
            await self.it.host.send(OUT, data[:PIECE])
            data = data[PIECE:]
            sent = command.length - len(data)
            # One piece at a time, so that what lies behind a stall is the same for both pumps.
            await self.it.pulse.until(partial(self._has_taken, sent), "data at the device")
            if command.status and sent >= command.moved:
                if data:
                    await self.it.pulse.until(lambda: len(self.it.host.halts) > halts, "a halt")
                return

    def _has_taken(self, size: int) -> bool:
        return len(self.disk.data) >= size

    def _expects_a_command(self) -> bool:
        shaper: Any = self.it.pump._shapers[0]
        out = shaper.sides[0]
        by_lane = shaper.lane is not None and not out.replica.pending
        return bool(out.replica.pending == 1 and shaper._expecting) or by_lane

    async def resets(self) -> None:
        await self.it.pump.control(RESET)
        await self.it.until(self._expects_a_command, "a read for the next CBW")

    async def stops_and_starts(self) -> None:
        routes = [side.route for side in self.it.pump._shapers[0].sides]
        await self.it.pump.stop()
        await self.it.pump.start(tuple(routes))

    async def breaks_off(self, command: Command) -> None:
        """A command whose data stays away is ended by a reset, or by the end of the setting."""
        self.tag += 1
        self.disk.expect(command, self.tag)
        del self.it.host.got[IN][:]
        heard = len(self.disk.heard)
        await self.it.host.send(OUT, self._block(command))
        await self.it.pulse.until(lambda: len(self.disk.heard) > heard, "the CBW")
        self.disk.left = 0
        await self.resets()


Step = Callable[[Host], Any]


def ways(window: int) -> list[EndpointRoute]:
    return [
        route(
            address,
            shaping=Shaping.BOT,
            device_max_packet=64,
            transfer_bytes=PIECE,
            window_urbs=window,
        )
        for address in (OUT, IN)
    ]


def compare(window: int, steps: list[Step], late: Late, *, straight: bool = False) -> None:
    async def told_by(which: Which) -> tuple[Any, ...]:
        async with running(which, ways(window)) as it:
            it.server.late = late
            disk = Disk(it)
            host = Host(it, disk)
            for step in steps:
                await step(host)
            if which is Which.NATIVE and straight:
                assert it.lane_share() > 0
                assert not it.python_submits
            fetched = sum(map(len, host.results))
            await it.until(lambda: it.pump.statistics[IN].moved >= fetched, "the last completions")
            counted = it.pump.statistics
            return (
                disk.heard,
                host.results,
                it.host.halts,
                it.server.controls(),
                it.server.repeated,
                sorted(it.listener.told),
                [
                    (each.moved, each.discarded, each.halts, each.errors)
                    for each in (counted[OUT], counted[IN])
                ],
            )

    one, other = asyncio.run(told_by(Which.PYTHON)), asyncio.run(told_by(Which.NATIVE))
    assert one == other


lengths = st.sampled_from([1, 13, 36, 63, 64, 512, 1023, 1024, 1025, 4096, 5000, 9000])


def does(command: Command) -> Step:
    return lambda host: host.carries_out(command)


straight_commands = st.one_of(
    st.builds(Command, st.sampled_from([READ, WRITE]), lengths),
    st.just(Command(TEST_UNIT_READY)),
)

odd_commands = st.one_of(
    st.builds(Command, st.just(INQUIRY), st.sampled_from([36, 96])),
    st.builds(Command, st.just(TEST_UNIT_READY), answer=st.just(1)),
    st.builds(Command, st.sampled_from([READ, WRITE]), lengths, answer=st.integers(1, 2)),
    st.builds(Command, st.just(READ), lengths, moves=st.sampled_from([0, 13, 64, 1024, 3000])),
    st.builds(
        Command,
        st.just(READ),
        lengths,
        moves=st.sampled_from([0, 1024, 2048]),
        status=st.just(-errno.EPIPE),
        answer=st.just(1),
    ),
    st.builds(
        Command,
        st.just(WRITE),
        st.just(4096),
        moves=st.sampled_from([1024, 2048, 4096]),
        status=st.just(-errno.EPIPE),
        answer=st.just(1),
    ),
    st.builds(Command, st.just(READ), lengths, wrong_tag=st.just(True)),
)

interruptions: st.SearchStrategy[Step] = st.one_of(
    st.just(lambda host: host.resets()),
    st.just(lambda host: host.stops_and_starts()),
    st.builds(
        lambda length: lambda host: host.breaks_off(Command(WRITE, length)),
        st.sampled_from([512, 5000]),
    ),
)


@needs_native
@unhurried
@given(st.integers(1, 8), st.lists(straight_commands.map(does), min_size=1, max_size=8))
def test_the_straight_way(window: int, steps: list[Step]) -> None:
    compare(window, steps, Late.NEVER, straight=True)


@needs_native
@unhurried
@given(
    st.integers(1, 8),
    st.lists(
        st.one_of(straight_commands.map(does), odd_commands.map(does), interruptions), max_size=9
    ),
    st.sampled_from(Late),
)
def test_whatever_else_a_disk_does(window: int, steps: list[Step], late: Late) -> None:
    compare(window, steps, late)


@needs_native
@pytest.mark.parametrize("late", Late)
def test_a_stall_with_a_window_behind_it(late: Late) -> None:
    stalled = Command(READ, 9000, moves=1024, status=-errno.EPIPE, answer=1)
    compare(5, [does(stalled), does(Command(WRITE, 9000)), does(Command(READ, 512))], late)


@both
def test_a_status_that_crosses_the_settling_of_a_stall_ends_its_command(which: Which) -> None:
    """An emulated device may answer the URB for the CSW though it has stalled the data."""

    async def scenario() -> None:
        async with running(which, ways(4)) as it:
            disk = Disk(it)
            disk.obeys_halts = False
            host = Host(it, disk)
            for _ in range(3):
                stalled = Command(READ, 512, moves=0, status=-errno.EPIPE, answer=1)
                await host.carries_out(stalled)
                await host.carries_out(Command(READ, 2048))
            assert host.results[-1] == pattern(host.tag, 2048) + csw(host.tag)

    asyncio.run(scenario())
