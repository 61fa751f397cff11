"""What a bulk-only device and its host settle between them when something goes wrong.

The steps of `bot` that are not the straight way, and the state that they share with it. The rules
are those of the transport's specification (section 6.6, "Error Handling"; 6.7, the thirteen
cases) and what devices make of them:

* A stall of IN or OUT in the data stage is the device's way to end it early; the CSW follows.
* A device that does not understand a CBW stalls IN until a Reset Recovery, and stalls OUT as well
  or discards what comes (6.6.1). Both stalls reach the host, each when the device makes it; the
  next CBW goes out whatever has become of this one, since only the device knows.
* A stall of the CSW while data is on its way out means one of two things. An emulated device
  stalls because it was asked too early: it takes the data all the same, and the stall is hidden.
  A device that stalls OUT as well means both. So the fate of the data is awaited first.
"""

import asyncio
from abc import abstractmethod

from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import Shaper, ShaperContext, Side, pause_before_rearming
from gadgetip.pump.shapers.bot_wrappers import CSW_LENGTH, CommandBlockWrapper, round_up
from gadgetip.wire import RetSubmit

NO_COMMAND = CommandBlockWrapper(tag=0, data_length=0, data_in=False)
"""Stands where there is no command, or what the host sent as one cannot be read."""

WATCH_S = 1.0
"""How often a device that was asked for its CSW ahead of time is looked at."""


class BotRecovery(Shaper):
    """The state of one command, and the recoveries; `BotShaper` is the straight way."""

    def __init__(self, out: Side, in_: Side, context: ShaperContext) -> None:
        super().__init__([out, in_], context)
        self.out = out
        self.in_ = in_
        self._status_bytes = round_up(CSW_LENGTH, in_.route.device_max_packet)
        self._bytes_out = 0
        self._out_settled = asyncio.Event()
        """Set whenever the device has answered for something that was sent to it."""
        self._stalls = 0
        self._patient = not in_.route.read_ahead
        """Whether the CSW is asked for only when the data stage is through."""
        self._watch: asyncio.TimerHandle | None = None
        self._waiting_command: bytes | None = None
        """A CBW that the host has sent and that is not begun yet."""
        self._begin_command(NO_COMMAND)

    def _begin_command(self, command: CommandBlockWrapper) -> None:
        self._command = command
        self._under_way = False
        self._overdue = False
        self._asked = 0
        """Data-in bytes asked of the device, or data-out bytes asked of the host."""
        self._moved = 0
        """Data-in bytes written to the host, or data-out bytes taken from it."""
        self._data_over = command.data_length == 0
        self._out_refused = False
        """Whether the device has stalled the CBW or the data behind it."""
        self._has_hole = False
        """Whether data for the host was lost on the way: the rest is dropped."""
        self._behind_halt: list[bytes] | None = None
        """What is to be written when the halt at the hole is made."""
        self._host_saw_end = False
        """Whether the host has met an early end of its data, a short packet, or a halt."""
        self._status_asked = False
        self._status_seen = False
        self._empty_seen = False

    # --- the straight way, as far as the recoveries go back to it -----------------------------

    @abstractmethod
    def _expect_command(self) -> None:
        """Carry out the CBW that waits, or let a read wait for one."""

    @abstractmethod
    def _ask(self) -> None:
        """Let URBs wait at the device, as far as the command is."""

    @abstractmethod
    def _give(self, data: bytes, *, ended: bool) -> None:
        """Write data to the host."""

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """One write to the host, as it is."""

    @abstractmethod
    def _status_returned(self, outcome: Outcome, ret: RetSubmit) -> None:
        """What was asked for as the CSW is there."""

    @abstractmethod
    def _finish(self) -> None:
        """Go on to the next command, if this one is through."""

    # --- devices that want the CSW to be asked for last ---------------------------------------

    def _data_unsettled(self) -> bool:
        """Whether the device has not yet answered for all of the data stage."""
        if self._command.data_in:
            return not self._data_over
        return self._bytes_out > 0

    def _be_patient(self, what_it_does: str) -> None:
        self._stop_watching()
        if not self._patient:
            self._patient = True
            self.context.noticed(
                f"the device {what_it_does} when its status is asked for ahead of time: from now "
                "on each command takes a second round trip"
            )

    async def _settle_status_stall(self, partial_data: bytes) -> None:
        """Tell a stall of the question from a stall of the command: the data's fate decides."""
        while self._bytes_out and not self._out_refused:
            self._out_settled.clear()
            await self._out_settled.wait()
        if self._out_refused:
            await self._settle_in_halt(partial_data)
            return
        self._be_patient("stalls")
        await self.in_.remote.clear_halt()
        self._status_asked = False
        asyncio.get_running_loop().call_soon(self._ask)

    def _watch_status(self, command: CommandBlockWrapper) -> None:
        """Look whether the CSW is overdue, which it is when all data came long ago."""
        self._watch = None
        if command is not self._command or not self.running or self.recovering(self.in_):
            return
        settled = not self._data_unsettled()
        if settled and self._overdue:
            self.recover(self.in_, self._ask_again())
            return
        self._overdue = settled
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(WATCH_S, self._watch_status, command)

    async def _ask_again(self) -> None:
        """Take the URB for the CSW back and post it once more, now that the data is through."""
        command = self._command
        await self.in_.remote.unlink_all()
        if self._status_seen:  # it came after all, while it was being taken back
            asyncio.get_running_loop().call_soon(self._finish)
        elif command is self._command and self._under_way:
            self._be_patient("is silent")
            self.in_.remote.submit_in(self._status_bytes, self._status_returned)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # --- what goes wrong --------------------------------------------------------------------

    def _in_failed(self, outcome: Outcome, ret: RetSubmit) -> None:
        if outcome is Outcome.GONE:
            self.context.device_gone()
        elif outcome is not Outcome.CANCELLED and self.running:
            if outcome is Outcome.FAILED:
                self._failed(self.in_, ret)
            self.recover(self.in_, self._settle_in_halt(ret.data))

    def _failed(self, side: Side, ret: RetSubmit) -> None:
        side.statistics.errors += 1
        self.context.noticed(
            f"endpoint 0x{side.route.address:02x} failed at the device (status {ret.status}): "
            "halted towards the host, whose driver recovers"
        )

    async def _settle_in_halt(self, partial_data: bytes) -> None:
        self.in_.statistics.halts += 1
        await self.in_.remote.unlink_all()
        if self._status_seen:  # it crossed the unlink: the command is through all the same
            self._data_over = self._data_over or self._command.data_in
            await self.in_.remote.clear_halt()
            asyncio.get_running_loop().call_soon(self._finish)
            return
        if partial_data and not self._data_over:
            self._give(partial_data, ended=False)
        self._data_over = self._data_over or self._command.data_in
        await self.in_.replica.drained()
        await self.in_.replica.halt()
        self._host_saw_end = True
        await self.in_.remote.clear_halt()
        await pause_before_rearming(self._stalls)
        self._stalls += 1
        self._status_asked = True
        self.in_.remote.submit_in(self._status_bytes, self._status_returned)

    async def _settle_lost_write(self) -> None:
        """The host's data has a hole: what is behind it must not be taken for what is in it.

        The device knows nothing of it and goes on: the rest of its data is taken and dropped, the
        host gets a halt where the hole is, and the CSW behind that.
        """
        self.in_.statistics.halts += 1
        await self.in_.replica.cancel_all()
        await self.in_.replica.halt()
        self._host_saw_end = True
        behind, self._behind_halt = self._behind_halt or [], None
        for data in behind:
            self._write(data)
        asyncio.get_running_loop().call_soon(self._go_on)

    async def _settle_refused_command(self) -> None:
        """The device stalls OUT at a CBW: so does the replica; IN shows what the device does there.

        What the device says on IN, a stall most likely, still belongs to this command. The next
        CBW is taken when the host has cleared the halt.
        """
        self.out.statistics.halts += 1
        self._data_over = True
        await self.out.remote.unlink_all()
        await self.out.replica.cancel_all()
        await self.out.replica.halt()
        self._host_saw_end = True
        await pause_before_rearming(self._stalls)
        self._stalls += 1
        await self.out.remote.clear_halt()
        asyncio.get_running_loop().call_soon(self._expect_command)

    async def _settle_out_halt(self) -> None:
        self.out.statistics.halts += 1
        host_has_more = not self._data_over and not self._command.data_in
        self._data_over = self._data_over or not self._command.data_in
        await self.out.remote.unlink_all()
        if host_has_more:
            await self.out.replica.cancel_all()
            # It may have sent the rest meanwhile; then its next word is a CBW, not to be halted.
            if self._moved < self._command.data_length:
                await self.out.replica.halt()
                self._host_saw_end = True
        await self.out.remote.clear_halt()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._ask()
        self._finish()

    # --- what is left of a command ------------------------------------------------------------

    async def _retire_leftovers(self) -> None:
        """Take back what was asked of either side and will not come, then expect a command."""
        await self.in_.remote.unlink_all()
        await self.out.replica.cancel_all()
        asyncio.get_running_loop().call_soon(self._expect_command)

    async def _supersede(self) -> None:
        """The host goes on with a CBW, which waits, although the command before is not through."""
        if self.recovering(self.in_):
            await self.abandon(self.in_)
            await self.in_.remote.clear_halt()
        await self.in_.remote.unlink_all()
        asyncio.get_running_loop().call_soon(self._expect_command)
