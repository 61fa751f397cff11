"""A mass storage device that does as it is told, and a host that recovers as a host does.

Both are the bulk-only transport as its specification has it (USB Mass Storage Class, Bulk-Only
Transport 1.0); the host's recovery is what a driver does: a stall is cleared and the status read,
a status that stalls is read once more, an empty one too.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gadgetip.pump import Shaping
from gadgetip.pump.shapers import BotShaper

from .world import STALL, Line, StalledError, Word, World, route


def cbw(
    tag: int,
    length: int,
    *,
    data_in: bool = True,
    unit: int = 0,
    block: bytes = b"\x28\0\0\0\0\0",
) -> bytes:
    head = struct.pack("<4sIIBBB", b"USBC", tag, length, 0x80 * data_in, unit, len(block))
    return (head + block).ljust(31, b"\0")


def csw(tag: int, residue: int = 0, status: int = 0) -> bytes:
    return struct.pack("<4sIIB", b"USBS", tag, residue, status)


@dataclass(frozen=True)
class Reaction:
    """What the device does with one command.

    It sends `data`; less than was asked for ends with a short or an empty packet unless
    `csw_in_place` or `stall_in` follows. Of data that comes it takes `takes` packets and stalls
    then, or takes all. Then it stalls `status_stalls` times and gives `extra_empty` empty packets
    before the CSW, which says `status` and `residue`.
    """

    data: bytes = b""
    stall_in: bool = False
    csw_in_place: bool = False
    takes: int | None = None
    status_stalls: int = 0
    extra_empty: int = 0
    silent: bool = False
    status: int = 0
    residue: int = 0


class Storage:
    """The device behind the two ends."""

    def __init__(self, out: Line, in_: Line) -> None:
        self.out, self.in_ = out, in_
        self.reactions: deque[Reaction] = deque()
        self.commands: list[bytes] = []
        self.taken = b""
        """The data of the last OUT command."""
        self.is_lost = False
        """Whether an invalid CBW has put it out of order, until a reset."""
        self.stalls_early_questions = False
        """Whether it stalls a URB that waits for the CSW while data is still to come."""
        self._left = 0
        self._packets = 0
        self._tag = 0
        self._reaction = Reaction()
        out.device.on_packet = self._packet

    def reset(self) -> None:
        """A Bulk-Only Mass Storage Reset."""
        self.is_lost = False
        self._left = 0
        self.in_.device.words.clear()

    def react(self, block: bytes) -> Reaction:
        """What the device does with the command in this CBW."""
        return self.reactions.popleft() if self.reactions else Reaction()

    def _packet(self, packet: bytes) -> Word | None:
        if self.is_lost:
            return STALL
        if self._left:
            return self._data(packet)
        return self._command(packet)

    def _command(self, packet: bytes) -> Word | None:
        if len(packet) != 31 or packet[:4] != b"USBC":
            self.is_lost = True
            self.in_.device.words.extend([STALL] * 1000)
            return None
        ours, waiting = self.out.device.oldest(), self.in_.device.oldest()
        assert ours is not None
        assert waiting is None or waiting > ours, "a URB of the command before waits for data"
        assert not self.in_.device.words, "the command before is not over"
        self.commands.append(packet)
        self._tag, length, flags = struct.unpack("<IIB", packet[4:13])
        self._reaction = self.react(packet)
        self._packets, self.taken = 0, b""
        if flags & 0x80 or not length:
            self._answer(length)
        else:
            self._left = length
        return None

    def _data(self, packet: bytes) -> Word | None:
        if self._reaction.takes is not None and self._packets >= self._reaction.takes:
            self._left = 0
            self._status()
            return STALL
        in_ = self.in_.device
        if self.stalls_early_questions and in_.queued and not in_.words and not in_.halted:
            in_.words.append(STALL)
            in_._move()  # at once, ahead of the data
        self._packets += 1
        self.taken += packet
        self._left -= len(packet)
        assert self._left >= 0, "more data than was announced"
        if not self._left:
            self._status()
        return None

    def _answer(self, length: int) -> None:
        reaction, device = self._reaction, self.in_.device
        if reaction.silent:
            device.say(reaction.data, ended=False)
            return
        assert len(reaction.data) <= length
        short = len(reaction.data) < length
        device.say(
            reaction.data, ended=short and not reaction.stall_in and not reaction.csw_in_place
        )
        if reaction.stall_in:
            device.words.append(STALL)
        self._status()

    def _status(self) -> None:
        words = self.in_.device.words
        words.extend([b""] * self._reaction.extra_empty)
        words.extend([STALL] * self._reaction.status_stalls)
        words.append(csw(self._tag, self._reaction.residue, self._reaction.status))


@dataclass
class Result:
    """What the host saw of one command."""

    data: bytes = b""
    status: bytes = b""
    stalls: int = 0


class Host:
    """The host's driver."""

    def __init__(self, out: Line, in_: Line) -> None:
        self.out, self.in_ = out, in_

    async def command(
        self,
        tag: int,
        length: int = 0,
        *,
        data: bytes | None = None,
        data_in: bool = True,
        unit: int = 0,
        block: bytes = b"\x28\0\0\0\0\0",
    ) -> Result:
        """One command; `data` is what an OUT command sends."""
        result = Result()
        is_in = data is None and data_in
        await self.out.host.send(cbw(tag, length, data_in=is_in, unit=unit, block=block))
        try:
            if data is not None:
                await self.out.host.send(data)
            elif length:
                result.data = await self.in_.host.receive(length)
        except StalledError as stalled:
            result.data = stalled.data
            result.stalls += 1
            self.out.host.clear()
            self.in_.host.clear()
        if result.data == csw(tag) and length != len(result.data):
            result.status, result.data = result.data, b""
        else:
            result.status = await self.status(result)
        return result

    async def status(self, result: Result) -> bytes:
        """Read the CSW as a host does."""
        for _ in range(2):
            try:
                status = await self.in_.host.receive(13)
            except StalledError:
                result.stalls += 1
                self.in_.host.clear()
                continue
            if status:
                return status
        return await self.in_.host.receive(13)


@dataclass
class Stick:
    """All of it: a host, a board, a server, a device."""

    world: World
    device: Storage
    host: Host
    shaper: BotShaper

    @classmethod
    def make(
        cls,
        seed: int | None = None,
        *,
        device_max_packet: int = 64,
        host_max_packet: int | None = None,
        window: int = 4,
        piece: int = 256,
        read_ahead: bool = True,
        may_hold: bool = False,
        device: Callable[[Line, Line], Storage] | None = None,
    ) -> "Stick":
        world = World(seed)
        world.may_hold = may_hold
        lines = [
            Line.make(
                world,
                route(
                    address,
                    device_max_packet=device_max_packet,
                    host_max_packet=host_max_packet,
                    shaping=Shaping.BOT,
                    window_urbs=window,
                    transfer_bytes=piece,
                    read_ahead=read_ahead,
                ),
            )
            for address in (0x02, 0x81)
        ]
        out, in_ = lines
        shaper = BotShaper(out.side, in_.side, world.context())
        shaper.start()
        return cls(world, (device or Storage)(out, in_), Host(out, in_), shaper)
