"""The driver of a host with a disk: what it does again, and what it takes to be on the medium.

It stands for what a system does with a disk (Linux: `usb-storage`, `sd`): a command that failed is
asked for its reason, and carried out again where that is ABORTED COMMAND; a stall is cleared; a
transport that is out of step is reset.
"""

import asyncio
from dataclasses import dataclass, field

import pytest

from gadgetip.pump.shapers.bot_wrappers import is_status_of

from .disk import (
    ABORTED,
    INQUIRY,
    MEDIUM_ERROR,
    READ,
    READ_CAPACITY,
    REQUEST_SENSE,
    SYNCHRONIZE_CACHE,
    WRITE,
    Disk,
    Fault,
    SensePart,
    read_sense,
    six,
    ten,
)
from .losses import DOWN_TURNS, Losses
from .storage import Result, Stick
from .world import StalledError, stop

WINDOW = 4


@dataclass(frozen=True)
class Job:
    """One command of the host's, and what goes wrong with it."""

    operation: int
    length: int = 0
    at: int = 0
    fill: int = 0
    is_out: bool = False
    fault: Fault = field(default_factory=Fault)
    unit: int = 0
    own_block: bytes = b""

    @property
    def block(self) -> bytes:
        if self.own_block:
            return self.own_block
        if self.operation in {READ, WRITE, READ_CAPACITY, SYNCHRONIZE_CACHE}:
            return ten(self.operation, self.at, self.length)
        return six(self.operation, min(self.length, 255))

    @property
    def data(self) -> bytes | None:
        if not self.is_out:
            return None
        return bytes((n * 7 + self.fill) % 251 for n in range(self.length))


def has_hole(job: Job, result: Result) -> bool:
    """Whether the host met a halt that is not the device's, in place of data that was lost."""
    return bool(result.stalls) and job.fault == Fault()


class Driver:
    """The host's driver: repeats what failed, and knows what must be on the medium."""

    def __init__(self, stick: Stick, disk: Disk, losses: Losses) -> None:
        self.stick, self.disk, self.losses = stick, disk, losses
        self.tag = 0
        self.model = bytes(disk.units[0].medium)

    async def command(self, job: Job) -> Result:
        self.tag += 1
        self.disk.faults[self.tag] = job.fault
        result = await self.stick.host.command(
            self.tag, job.length, data=job.data, unit=job.unit, block=job.block
        )
        assert is_status_of(result.status, self.tag), "not the CSW of this command"
        return result

    async def do(self, job: Job) -> None:
        """Carry out one command, again where the driver of a host would."""
        for _ in range(6):
            losses = self.stick.world.losses
            result = await self.command(job)
            self.check(job, result, was_lost=self.stick.world.losses != losses)
            if has_hole(job, result):
                continue
            if result.status[12] == 0:
                return
            sense = await self.sense(losses)
            if sense != ABORTED:
                return
        raise AssertionError("never carried out")

    async def sense(self, losses: int) -> SensePart:
        """Ask why, until there is an answer."""
        for _ in range(6):
            result = await self.command(Job(REQUEST_SENSE, 18))
            if result.status[12] == 0:
                said = read_sense(result.data)
                assert said in {MEDIUM_ERROR, ABORTED}, "a failure without a reason"
                assert said != ABORTED or self.stick.world.losses != losses
                return said
        raise AssertionError("never answered")

    def check(self, job: Job, result: Result, *, was_lost: bool) -> None:
        status, fault = result.status[12], job.fault
        residue = int.from_bytes(result.status[8:12], "little")
        if not was_lost:
            assert status == fault.fails
        done = self.disk.done[self.tag]
        if job.operation not in {READ, WRITE}:
            assert done <= 1, "carried out twice"
        if job.is_out:
            sent = job.data or b""
            medium = self.disk.units[0].medium
            if fault.takes is None and status == 0:
                assert done >= 1
                if job.operation == WRITE:
                    assert medium[job.at : job.at + job.length] == sent
                else:
                    assert self.disk.vendor_data[self.tag] == sent
            # Where it failed, the bytes are the new ones or those of before, and known from here.
            if job.operation == WRITE:
                before = self.model[job.at : job.at + job.length]
                now = bytes(medium[job.at : job.at + job.length])
                assert all(n in {b, s} for n, b, s in zip(now, before, sent, strict=True))
                self.model = self.model[: job.at] + now + self.model[job.at + job.length :]
            assert medium == self.model, "written where nobody wrote"
            return
        wanted = self.expected(job)
        assert wanted.startswith(result.data), "wrong data"
        if status == 0 and not has_hole(job, result):
            assert done >= 1
            assert result.data == wanted[: fault.ends_after]
            assert residue == job.length - len(result.data)

    def expected(self, job: Job) -> bytes:
        if job.operation == READ:
            return self.model[job.at : job.at + job.length]
        if job.operation == INQUIRY:
            unit = self.disk.units[0]
            return unit.serial if job.block[1] & 1 else unit.identity
        if job.operation == READ_CAPACITY:
            return bytes([0, 0, 0x3F, 0xFF, 0, 0, 0, 1])
        return bytes(job.length)

    async def invalid(self, block: bytes) -> None:
        """Send what is no CBW, meet the stall, recover (6.6.1, 5.3.4)."""
        await self.stick.host.out.host.put(block)
        with pytest.raises(StalledError):
            await self.stick.host.in_.host.receive(13)
        await self.reset()

    async def reset(self) -> None:
        """Reset recovery; one that the lost link swallows is made again."""
        task = asyncio.get_running_loop().create_task(self._reset())
        await self.stick.world.finish(task)

    async def _reset(self) -> None:
        world, shaper = self.stick.world, self.stick.shaper
        is_through = False
        while not is_through:
            while not self.losses.is_back:
                await asyncio.sleep(0)
            async with self.losses.turn:
                if world.is_lost:
                    continue
                losses = world.losses
                await shaper.stop()
                is_through = losses == world.losses
                if is_through:
                    self.disk.reset()
                    for line in (self.stick.host.in_, self.stick.host.out):
                        line.device.halted = False
                        line.host.clear()
                shaper.start()
                if not is_through:
                    shaper.suspend()


def make(
    seed: int | None = None,
    *,
    window: int = WINDOW,
    down: int = DOWN_TURNS,
    host_max_packet: int | None = None,
    piece: int = 256,
) -> tuple[Stick, Disk, Losses, Driver]:
    """A host with a disk whose link may be lost; `Losses.at` says when."""
    stick = Stick.make(
        seed,
        window=window,
        host_max_packet=host_max_packet,
        piece=piece,
        may_hold=True,
        device=Disk,
    )
    disk = stick.device
    assert isinstance(disk, Disk)
    losses = Losses(stick.world, [stick.shaper], disk.power_on, down)
    return stick, disk, losses, Driver(stick, disk, losses)


async def at_rest(stick: Stick, losses: Losses) -> None:
    """Everything is over: one read waits for a CBW, nothing else for anything."""
    losses.at.clear()
    await losses.over()
    await stick.world.settle()
    host, shaper = stick.host, stick.shaper
    assert shaper.unconfirmed == 0
    assert host.in_.device.queued == 0
    assert (host.out.host.pending, host.in_.host.pending) == (1, 0)
    await stop(stick.world, shaper)
