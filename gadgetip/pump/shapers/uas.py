"""`uas`: USB Attached SCSI at high speed, four bulk pipes without streams.

    COMMAND   out   command and task management units
    STATUS    in    READ READY, WRITE READY, and the unit that ends a command (SENSE, RESPONSE)
    DATA IN   in    data of one command at a time, the one that READ READY named
    DATA OUT  out   the same behind WRITE READY

All four are carried packet by packet: a command does not say in bytes how much will move. What
makes it more than four endpoints is the order between them.

* **Data is asked for only while a command is in its data phase**, from READ READY to the unit that
  ends the command. Hardware does not see a URB that waits in its host's controller. An emulated
  device is handed the URB; QEMU's `usb-uas` stalls one that comes while no command reads.
* URBs that are left over when a command ends stay where they are, for the next one. To take them
  back would be a risk: the next command's data may be on its way into them, and an unlink does
  not return it.
* **A stall of such a leftover is hidden**: the halt is cleared at the device, and the host never
  knows. So is one that comes just ahead of the unit that ends the command. Any other stall of
  DATA IN is the device's own, and reaches the host.
* **An empty packet** may be made of a leftover, too, when the emulated device completes it with
  what it has. Where the data before it has ended already, or may be all that the command asked
  for, it is not passed on: the host would take it for the data of its next command.
* **Data before status.** On a cable the device sends the unit that ends a command when the host
  has taken the data. So here the unit waits until it has, though not for ever.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from gadgetip.errors import LocalProtocolError
from gadgetip.pump.interface import Pipe
from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import Shaper, ShaperContext, Side
from gadgetip.pump.shapers.packet_in import PacketInShaper
from gadgetip.pump.shapers.packet_out import PacketOutShaper
from gadgetip.pump.shapers.uas_units import Unit, UnitId, may_be_all
from gadgetip.wire import RetSubmit

HOLD_LIMIT_S = 0.1
"""How long the end of a command waits for a host that does not take the data before it. One that
is reading takes all there is at this end within a few milliseconds; and a device that sends the
next command's data ahead of its READ READY would make the two wait for each other."""

STALL_GRACE_S = 5.0
"""How long a stall of DATA IN waits for the unit that explains it. An emulated device has sent that
by then, and it is late only by what delays this end; a stall that the host meets in its place
spoils the command, and if it was READ CAPACITY, the disk. A device that stalls for a reason of its
own, and says nothing on STATUS, is heard that much later: Linux gives a command of a disk 30 s."""


class UasShaper(Shaper):
    """The four pipes of one interface; each side's route names its pipe."""

    def __init__(self, sides: list[Side], context: ShaperContext) -> None:
        super().__init__(sides, context)
        pipes = {side.route.pipe: side for side in sides}
        if len(sides) != len(pipes) or set(pipes) != set(Pipe) - {Pipe.NONE}:
            raise LocalProtocolError(f"UAS has four pipes, 1 to 4, not {sorted(pipes)}")
        self._data_in = _DataIn(pipes[Pipe.DATA_IN], context, self._data_taken)
        self._status = _Status(pipes[Pipe.STATUS], context, self._data_in)
        self._commands = _Commands(pipes[Pipe.COMMAND], context, self._status)
        self._data_out = PacketOutShaper(pipes[Pipe.DATA_OUT], context)
        self._parts: list[Shaper] = [
            self._data_in,
            self._status,
            self._commands,
            self._data_out,
        ]

    @property
    def unconfirmed(self) -> int:
        """Commands and data-out bytes that the device has not confirmed."""
        return sum(part.unconfirmed for part in self._parts)

    def _data_taken(self) -> None:
        self._status.release()

    def begin(self) -> None:
        """Begin with all four."""
        for part in self._parts:
            part.start()

    async def cancel(self) -> None:
        """Stop all four at once."""
        await asyncio.gather(*(part.stop() for part in self._parts))

    def forget(self) -> None:
        """Nothing: the four have forgotten what there was."""

    def hold(self) -> None:
        """Take nothing more from the host."""
        super().hold()
        for part in self._parts:
            part.hold()


class _DataIn(PacketInShaper):
    """DATA IN, while a command reads."""

    def __init__(self, side: Side, context: ShaperContext, on_settled: Callable[[], None]) -> None:
        super().__init__(side, context)
        self._on_settled = on_settled
        self.settled = 0
        """Packets that the host has taken, or will never get."""
        self.received = 0
        self.tag: int | None = None
        """The command in its data phase."""
        self._cdb = b""
        self._bytes = 0
        self._is_over = False
        """Whether a packet that was not full has ended the command's data."""
        self._over = asyncio.Event()
        """Set when the data phase that began last has ended; each has an event of its own, as tags
        are used again and the next phase may begin before somebody who waits here is awake."""

    def open(self, tag: int, cdb: bytes) -> None:
        """A command's data phase begins."""
        self.tag, self._cdb, self._bytes, self._is_over = tag, cdb, 0, False
        self._over = asyncio.Event()
        if not self.recovering(self.side):
            self.fill()

    def close(self) -> None:
        """A command is over; what was asked for it stays for the next."""
        self.tag = None
        self._over.set()

    def forget(self) -> None:
        """Forget the command as well."""
        super().forget()
        self.received = self.settled = 0
        self.close()

    def may_ask(self) -> bool:
        """Only while a command reads."""
        return self.running and self.tag is not None

    def submit(self) -> None:
        """Remember in which data phase a URB was submitted."""
        self.side.remote.submit_in(self.urb_bytes, partial(self._came, self._over))

    def arrive(self, data: bytes, *, ended: bool) -> None:
        """A packet, unless it is an empty one that nobody needs."""
        if not data and (self._is_over or may_be_all(self._cdb, self._bytes)):
            return
        self._bytes += len(data)
        self._is_over = len(data) < self.urb_bytes
        self.received += 1
        super().arrive(data, ended=ended)

    def _came(self, over: asyncio.Event, outcome: Outcome, ret: RetSubmit) -> None:
        if outcome is Outcome.STALLED and self.running:
            self.recover(self.side, self._settle_stall(ret.data, over))
        else:
            self._returned(outcome, ret)

    async def _settle_stall(self, partial_data: bytes, over: asyncio.Event) -> None:
        """Hide a stall of what is left over from a data phase that is, or soon will be, `over`."""
        try:
            async with asyncio.timeout(STALL_GRACE_S):
                await over.wait()
        except TimeoutError:
            # Where this process was not run for so long, both may be due at once.
            if not over.is_set():
                await self.settle_halt(partial_data)
                return
        await self.side.remote.unlink_all()
        await self.side.remote.clear_halt()
        asyncio.get_running_loop().call_soon(self.fill)

    def _taken(self, entries: int, data: bytes | bytearray, error: int) -> None:
        super()._taken(entries, data, error)
        self.settled = self.received - self.waiting
        self._on_settled()


class _Status(PacketInShaper):
    """STATUS: reads what the device says, and lets the end of a command wait for its data."""

    def __init__(self, side: Side, context: ShaperContext, data_in: _DataIn) -> None:
        super().__init__(side, context)
        self.commands: dict[int, Unit] = {}
        """What the host has sent and the device not ended, by tag."""
        self._data_in = data_in
        self._held: deque[tuple[bytes, int]] = deque()
        """Units, and how many packets of data the host must have taken before it gets each."""

    @property
    def waiting(self) -> int:
        """What is held counts."""
        return super().waiting + len(self._held)

    def arrive(self, data: bytes, *, ended: bool) -> None:  # noqa: ARG002 (a packet is whole)
        """A unit, or a packet of one."""
        behind = 0
        unit = Unit.read(data)
        if unit is not None:
            behind = self._note(unit)
        self._held.append((data, behind))
        self.release()

    def forget(self) -> None:
        """Forget the commands under way as well."""
        self.side.statistics.discarded += sum(len(data) for data, _ in self._held)
        self._held.clear()
        self.commands.clear()
        super().forget()

    def flush(self) -> None:
        """A halt follows: nothing is held back."""
        self.not_later(self._expire)
        self._arrived.extend(data for data, _ in self._held)
        self._held.clear()

    def _note(self, unit: Unit) -> int:
        """Follow the commands; returns how much data the unit has to wait for."""
        if unit.id == UnitId.READ_READY:
            command = self.commands.get(unit.tag)
            self._data_in.open(unit.tag, command.cdb if command else b"")
        elif unit.id in {UnitId.SENSE, UnitId.RESPONSE}:
            ended = self.commands.pop(unit.tag, None)
            tag = self._data_in.tag
            if tag is not None and (unit.tag == tag or (ended is not None and ended.ends(tag))):
                self._data_in.close()
                # Who aborts a command may not take its data any more.
                return self._data_in.received if unit.tag == tag else 0
        return 0

    def release(self) -> None:
        """Write what need not wait any more."""
        while self._held and self._held[0][1] <= self._data_in.settled:
            self._arrived.append(self._held.popleft()[0])
            self.not_later(self._expire)  # each unit has all of that time
        if self._held:
            self.later(HOLD_LIMIT_S, self._expire)
        self.write()

    def _expire(self) -> None:
        if self._held:
            self._arrived.append(self._held.popleft()[0])
        self.release()


class _Commands(PacketOutShaper):
    """COMMAND: remembers what the host asked for."""

    def __init__(self, side: Side, context: ShaperContext, status: _Status) -> None:
        super().__init__(side, context)
        self._status = status

    def arrive(self, data: memoryview) -> None:
        """A unit goes its way, and its tag is known."""
        unit = Unit.read(data)
        if unit is not None:
            self._status.commands[unit.tag] = unit
        super().arrive(data)
