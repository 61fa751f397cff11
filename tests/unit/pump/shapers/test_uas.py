"""USB Attached SCSI: data only while a command reads, data before status, stray stalls hidden."""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.errors import LocalProtocolError
from gadgetip.pump import Pipe, Shaping
from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers import UasShaper, uas
from gadgetip.pump.shapers.uas import STALL_GRACE_S
from gadgetip.pump.shapers.uas_units import Unit, UnitId, may_be_all

from .world import STALL, HangError, Line, StalledError, World, route, stop

PACKET = 64
BLOCK = 512
schedules = st.integers(0, 2**32 - 1)
unhurried = settings(max_examples=80, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def grace() -> Iterator[None]:
    """A time within `TIMERS_S`, so that what waits for its end is seen to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uas, "STALL_GRACE_S", 0.25)
        yield


def command(tag: int, cdb: bytes) -> bytes:
    return struct.pack(">BxHBBBB8s16s", UnitId.COMMAND, tag, 0, 0, 0, 0, bytes(8), cdb)


def abort(tag: int, managed: int) -> bytes:
    return struct.pack(">BxHBxH8s", UnitId.TASK_MANAGEMENT, tag, 1, managed, bytes(8))


def unit(kind: UnitId, tag: int) -> bytes:
    lengths = {UnitId.SENSE: 16, UnitId.RESPONSE: 8}
    return struct.pack(">BxH", kind, tag).ljust(lengths.get(kind, 4), b"\0")


def read_10(blocks: int) -> bytes:
    return struct.pack(">BBIBHB", 0x28, 0, 0, 0, blocks, 0)


def inquiry(length: int) -> bytes:
    return struct.pack(">BBBHB", 0x12, 0, 0, length, 0)


@dataclass
class Job:
    """A command: what the device sends, or how much it takes."""

    cdb: bytes
    data: bytes = b""
    wanted: int = 0
    """How much the host asks for, or sends."""
    is_out: bool = False


@dataclass
class Disk:
    """The device: one command after the other. `emulated` ones see the URBs themselves."""

    lines: dict[Pipe, Line]
    jobs: dict[int, Job]
    emulated: bool = False
    completes_empty: bool = False
    """Whether an emulated one completes the URB that waits when a command ends."""
    waiting: deque[int] = field(default_factory=deque)
    current: int | None = None
    to_send: bytes = b""
    may_end: bool = False
    taken: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines[Pipe.COMMAND].device.on_packet = self._command
        self.lines[Pipe.DATA_OUT].device.on_packet = self._data
        self.lines[Pipe.COMMAND].device.world.movers.append(self._move)

    def _command(self, packet: bytes) -> None:
        self.waiting.append(struct.unpack(">H", packet[2:4])[0])

    def _data(self, packet: bytes) -> None:
        assert self.current is not None
        self.taken[self.current] = self.taken.get(self.current, b"") + packet

    def _move(self) -> bool:
        status, data_in = self.lines[Pipe.STATUS].device, self.lines[Pipe.DATA_IN].device
        if self.current is None and self.waiting:
            self.current = self.waiting.popleft()
            job = self.jobs[self.current]
            kind = UnitId.WRITE_READY if job.is_out else UnitId.READ_READY
            if job.wanted:
                status.words.append(unit(kind, self.current))
            self.to_send = b"" if job.is_out else job.data
            self.may_end = job.is_out or not job.wanted
            return True
        if self.current is None:
            if self.emulated and data_in.queued and not data_in.halted:
                data_in.halted = True
                return True
            return False
        job = self.jobs[self.current]
        if not self.may_end and not status.words:  # READ READY is out
            data_in.say(self.to_send, ended=len(job.data) < job.wanted)
            self.may_end = True
            return True
        if not self.may_end:
            return False
        if data_in.words or (job.is_out and len(self.taken.get(self.current, b"")) < job.wanted):
            return False
        status.words.append(unit(UnitId.SENSE, self.current))
        if self.completes_empty and data_in.queued and not job.is_out and job.wanted:
            data_in._return(data_in._queued.popleft(), Outcome.DONE)
        self.current = None
        return True


@dataclass
class Bench:
    world: World
    lines: dict[Pipe, Line]
    disk: Disk
    shaper: UasShaper

    @classmethod
    def make(
        cls,
        jobs: dict[int, Job],
        seed: int | None = None,
        *,
        emulated: bool = False,
        completes_empty: bool = False,
    ) -> "Bench":
        world = World(seed)
        addresses = {
            Pipe.COMMAND: 0x01,
            Pipe.STATUS: 0x82,
            Pipe.DATA_IN: 0x83,
            Pipe.DATA_OUT: 0x04,
        }
        lines = {
            pipe: Line.make(world, route(address, shaping=Shaping.UAS, pipe=pipe, window_urbs=4))
            for pipe, address in addresses.items()
        }
        shaper = UasShaper([line.side for line in lines.values()], world.context())
        shaper.start()
        return cls(world, lines, Disk(lines, jobs, emulated, completes_empty), shaper)

    async def send(self, data: bytes) -> None:
        await self.lines[Pipe.COMMAND].host.send(data)

    async def status(self) -> Unit:
        """The next unit that the host reads."""
        read = Unit.read(await self.lines[Pipe.STATUS].host.get())
        assert read is not None
        return read

    async def follow(self, count: int) -> dict[int, bytes]:
        """The host's driver: does as the units say until `count` commands are over."""
        got: dict[int, bytes] = {}
        over = 0
        while over < count:
            said = await self.status()
            job = self.disk.jobs[said.tag]
            if said.id == UnitId.READ_READY:
                got[said.tag] = await self.lines[Pipe.DATA_IN].host.receive(job.wanted)
            elif said.id == UnitId.WRITE_READY:
                await self.lines[Pipe.DATA_OUT].host.send(job.data)
            else:
                assert said.id == UnitId.SENSE
                over += 1
        return got


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    kind = draw(st.sampled_from(["read", "read", "inquiry", "write", "none"]))
    if kind == "read":
        blocks = draw(st.integers(1, 3))
        data = draw(st.integers(0, 255)).to_bytes(1, "big") * (blocks * BLOCK)
        return Job(read_10(blocks), data, len(data))
    if kind == "inquiry":
        length = draw(st.sampled_from([36, 64, 96, 128, 200]))
        given_ = draw(st.integers(1, length))
        return Job(inquiry(length), bytes(range(given_)), length)
    if kind == "write":
        data = bytes(draw(st.integers(1, 700)))
        return Job(bytes([0x2A]), data, len(data), is_out=True)
    return Job(bytes(6))


@unhurried
@given(st.lists(jobs(), min_size=1, max_size=6), st.booleans(), st.booleans(), schedules)
def test_commands_move_what_they_should(
    drawn: list[Job], emulated: bool, completes_empty: bool, seed: int
) -> None:
    async def scenario() -> None:
        numbered = dict(enumerate(drawn, 1))
        it = Bench.make(numbered, seed, emulated=emulated, completes_empty=completes_empty)
        for tag, job in numbered.items():
            await it.send(command(tag, job.cdb))
        got = await it.follow(len(numbered))
        await it.world.settle()
        for tag, job in numbered.items():
            if job.is_out:
                assert it.disk.taken[tag] == job.data
            elif job.wanted:
                assert got[tag] == job.data
        assert it.shaper.unconfirmed == 0
        assert it.world.notices == []
        assert all(not line.host.halted for line in it.lines.values())
        assert it.lines[Pipe.DATA_IN].host.pending == 0, "something for a command to come"
        await stop(it.world, it.shaper)

    asyncio.run(scenario())


def test_no_data_is_asked_for_before_a_command_reads() -> None:
    async def scenario() -> None:
        it = Bench.make({1: Job(read_10(1), bytes(BLOCK), BLOCK)})
        await it.world.settle()
        assert it.lines[Pipe.DATA_IN].device.queued == 0
        assert it.lines[Pipe.STATUS].device.queued == 4
        await it.send(command(1, read_10(1)))
        await it.follow(1)
        assert it.lines[Pipe.DATA_IN].device.most_in_flight == 4

    asyncio.run(scenario())


def test_the_end_of_a_command_waits_until_the_host_has_its_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uas, "HOLD_LIMIT_S", 60.0)

    async def scenario() -> None:
        it = Bench.make({1: Job(inquiry(96), b"x" * 36, 96)})
        await it.send(command(1, inquiry(96)))
        assert (await it.status()).id == UnitId.READ_READY
        await it.world.settle()
        with pytest.raises(HangError):
            await it.status()
        assert await it.lines[Pipe.DATA_IN].host.receive(96) == b"x" * 36
        assert (await it.status()).id == UnitId.SENSE

    asyncio.run(scenario())


async def reading() -> tuple[Bench, Line, Line]:
    """Command 1 reads, at a disk that is busy for good: the test speaks on DATA IN and STATUS."""
    it = Bench.make({0: Job(bytes(6), b"", 1, is_out=True)})
    it.disk.current, it.disk.may_end = 0, True
    data_in, status = it.lines[Pipe.DATA_IN], it.lines[Pipe.STATUS]
    status.device.words.append(unit(UnitId.READ_READY, 1))
    assert (await it.status()).id == UnitId.READ_READY
    return it, data_in, status


def test_each_unit_is_held_back_for_all_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of one that could go was once the next one's."""
    monkeypatch.setattr(uas, "HOLD_LIMIT_S", 0.25)

    async def scenario() -> None:
        it, data_in, status = await reading()
        data_in.device.words.append(b"first")
        await it.world.settle()
        status.device.words.append(unit(UnitId.SENSE, 1))
        await it.world.settle()
        await asyncio.sleep(0.15)
        assert await data_in.host.receive(96) == b"first"
        assert (await it.status()).id == UnitId.SENSE
        status.device.words.append(unit(UnitId.READ_READY, 2))
        assert (await it.status()).id == UnitId.READ_READY
        data_in.device.words.append(b"second")
        await it.world.settle()
        status.device.words.append(unit(UnitId.SENSE, 2))
        await it.world.settle()
        await asyncio.sleep(0.15)
        await it.world.settle()
        assert status.side.replica.pending == 0, "ahead of its data"
        assert await data_in.host.receive(96) == b"second"
        assert (await it.status()).id == UnitId.SENSE

    asyncio.run(scenario())


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uas, "HOLD_LIMIT_S", 0.0)

    async def scenario() -> None:
        it = Bench.make({1: Job(inquiry(96), b"x" * 36, 96)})
        await it.send(command(1, inquiry(96)))
        assert (await it.status()).id == UnitId.READ_READY
        assert (await it.status()).id == UnitId.SENSE

    asyncio.run(scenario())


def test_a_stall_of_the_devices_own_reaches_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uas, "STALL_GRACE_S", 0.0)

    async def scenario() -> None:
        it = Bench.make({1: Job(read_10(1), b"", BLOCK)})
        data_in = it.lines[Pipe.DATA_IN]
        data_in.device.words.append(STALL)
        await it.send(command(1, read_10(1)))
        assert (await it.status()).id == UnitId.READ_READY
        with pytest.raises(StalledError):
            await data_in.host.get()
        data_in.host.clear()
        await it.world.settle()
        assert data_in.device.cleared >= 1

    asyncio.run(scenario())


def test_a_stall_is_hidden_when_its_explanation_is_read_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0.25 s were too few where another machine ran beside this one: the host met the stall."""
    monkeypatch.setattr(uas, "STALL_GRACE_S", STALL_GRACE_S)

    async def scenario() -> None:
        it, data_in, status = await reading()
        data_in.device.words += [b"x" * 36, STALL]
        assert await data_in.host.receive(96) == b"x" * 36
        await it.world.settle()
        await asyncio.sleep(0.4)
        await it.world.settle()
        assert data_in.device.cleared == 0
        status.device.words.append(unit(UnitId.SENSE, 1))
        assert (await it.status()).id == UnitId.SENSE
        await it.world.settle()
        assert data_in.device.cleared == 1
        with pytest.raises(HangError):
            await data_in.host.get()

    asyncio.run(scenario())


@pytest.mark.parametrize("late", [False, True], ids=["stall-first", "stall-last"])
@pytest.mark.parametrize("tag", [1, 2], ids=["same-tag", "next-tag"])
def test_a_command_follows_in_the_same_breath(
    monkeypatch: pytest.MonkeyPatch, late: bool, tag: int
) -> None:
    """The stall of one command, its end and the next one's data phase, all read at once."""
    monkeypatch.setattr(uas, "STALL_GRACE_S", STALL_GRACE_S)

    async def scenario() -> None:
        it, data_in, status = await reading()
        await it.world.settle()
        status.device.words += [unit(UnitId.SENSE, 1), unit(UnitId.READ_READY, tag)]
        data_in.device.halted = True
        for line in (status, data_in) if late else (data_in, status):
            assert line.device.queued == 4
            while line.device._move():
                pass
        while it.world.from_device:
            it.world.from_device.popleft()()
        assert [(await it.status()).id for _ in range(2)] == [UnitId.SENSE, UnitId.READ_READY]
        await it.world.settle()
        assert data_in.device.cleared == 1
        data_in.device.words.append(b"second")
        assert await data_in.host.receive(96) == b"second"
        assert not data_in.host.halted

    asyncio.run(scenario())


def test_an_explanation_counts_that_is_read_when_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that was not run for a while finds both at once."""
    monkeypatch.setattr(uas, "STALL_GRACE_S", 0.02)

    async def scenario() -> None:
        it, data_in, status = await reading()
        data_in.device.words.append(STALL)
        await it.world.settle()
        status.device.words.append(unit(UnitId.SENSE, 1))
        while status.device._move():
            pass
        time.sleep(0.05)  # the whole process stands still
        asyncio.get_running_loop().call_soon(it.world.from_device.popleft())
        assert (await it.status()).id == UnitId.SENSE
        await it.world.settle()
        assert data_in.device.cleared == 1
        assert not data_in.host.halted

    asyncio.run(scenario())


def test_an_aborted_command_asks_for_no_more() -> None:
    async def scenario() -> None:
        it = Bench.make({1: Job(read_10(1), b"", BLOCK)})
        it.disk.waiting.append(0)
        it.disk.jobs[0] = Job(bytes(6), b"", 1, is_out=True)  # keeps the disk busy for good
        await it.send(command(1, read_10(1)))
        await it.world.settle()
        it.lines[Pipe.STATUS].device.words.append(unit(UnitId.READ_READY, 1))
        it.lines[Pipe.DATA_IN].device.words.append(b"half")
        await it.send(abort(2, 1))
        await it.world.settle()
        it.lines[Pipe.STATUS].device.words.append(unit(UnitId.RESPONSE, 2))
        seen = [await it.status() for _ in range(3)]
        assert [each.id for each in seen[1:]] == [UnitId.READ_READY, UnitId.RESPONSE]
        asked = it.lines[Pipe.DATA_IN].device.in_flight
        await it.lines[Pipe.DATA_IN].host.get()
        await it.world.settle()
        assert it.lines[Pipe.DATA_IN].device.in_flight == asked, "asked for a command that is gone"

    asyncio.run(scenario())


@unhurried
@given(st.lists(jobs(), min_size=1, max_size=4), st.integers(0, 80), schedules)
def test_stopping_takes_everything_back_at_any_moment(
    drawn: list[Job], steps: int, seed: int
) -> None:
    async def scenario() -> None:
        it = Bench.make(dict(enumerate(drawn, 1)), seed)
        for tag, job in it.disk.jobs.items():
            await it.send(command(tag, job.cdb))
        for _ in range(steps):
            it.world.step()
            await asyncio.sleep(0)
        await stop(it.world, it.shaper)
        for line in it.lines.values():
            line.device.words.clear()
            line.host.disable()
            line.host.enable()
        it.disk.waiting.clear()
        it.disk.current = None
        it.disk.jobs[9] = Job(read_10(1), b"n" * BLOCK, BLOCK)
        it.shaper.start()
        await it.send(command(9, read_10(1)))
        assert (await it.follow(1))[9] == b"n" * BLOCK

    asyncio.run(scenario())


def test_four_pipes_are_four() -> None:
    world = World()
    sides = [Line.make(world, route(0x81 + n, pipe=Pipe.STATUS)).side for n in range(4)]
    with pytest.raises(LocalProtocolError, match="four pipes"):
        UasShaper(sides, world.context())


@given(st.binary(max_size=600))
def test_any_bytes_are_a_unit_or_none(data: bytes) -> None:
    read = Unit.read(data)
    assert (read is None) == (len(data) < 4)
    if read is not None:
        assert (read.id, read.tag) == (data[0], int.from_bytes(data[2:4], "big"))
        assert read.ends(1) in {True, False}
        assert may_be_all(read.cdb, 512) in {True, False}


@pytest.mark.parametrize(
    ("cdb", "received", "expected"),
    [
        (read_10(3), 3 * 512, True),
        (read_10(3), 3 * 4096, True),
        (read_10(3), 2 * 512, False),
        (read_10(0), 0, False),
        (bytes([0x08, 0, 0, 0, 0, 0]), 256 * 512, True),
        (inquiry(36), 36, True),
        (inquiry(512), 512, True),
        (inquiry(36), 512, False),
        (b"\xff" * 16, 512, False),
        (b"", 512, False),
        (b"\x28", 512, False),
    ],
)
def test_what_may_be_all_of_the_data(cdb: bytes, received: int, expected: bool) -> None:
    assert may_be_all(cdb, received) is expected


@settings(max_examples=25, deadline=None)
@given(st.lists(jobs(), min_size=1, max_size=3), st.integers(0, 60), schedules)
def test_a_lost_link_leaves_a_shaper_that_works(drawn: list[Job], steps: int, seed: int) -> None:
    """What was under way is not held; the host resets, and from then on all is well."""

    async def scenario() -> None:
        it = Bench.make(dict(enumerate(drawn, 1)), seed)
        for tag, job in it.disk.jobs.items():
            await it.send(command(tag, job.cdb))
        for _ in range(steps):
            it.world.step()
            await asyncio.sleep(0)
        it.disk.waiting.clear()
        it.disk.current = None
        it.world.lose_link(it.shaper)
        for _ in range(steps):
            it.world.step()
            await asyncio.sleep(0)
        it.world.relink()
        await it.world.finish(asyncio.get_running_loop().create_task(it.shaper.resume()))
        for line in it.lines.values():
            line.host.halted = False
        it.disk.jobs[9] = Job(read_10(1), b"n" * BLOCK, BLOCK)
        await it.send(command(9, read_10(1)))
        got: dict[int, bytes] = {}
        while 9 not in got:  # one that had not been sent yet may be carried out before
            got |= await it.follow(1)
        assert got[9] == b"n" * BLOCK
        await stop(it.world, it.shaper)

    asyncio.run(scenario())
