"""A bulk-only disk whose link is lost, and comes back: what becomes of the command under way.

The host waits for the answer to one command, or for nothing. When the device is back (reset, and
known to be the same: `bot_initiator`), one of these follows:

* nothing was under way: the next CBW, which the host may have sent meanwhile, is carried out;
* a READ or a WRITE is carried out again from its CBW. What the host has of a READ's data is not
  written a second time; what it gave of a WRITE's data was kept. Twice is as good as once, since
  the same blocks end up the same, and no other command came between. Where the device had ended
  the data early, or refused it, the host knows, and the device might do better this time: then it
  is the next case;
* what was no CBW is given to the device again, to be refused again;
* anything else may have been carried out or not, and may not be done twice. The host is told that
  it failed, with ABORTED COMMAND as the reason, which is what its driver repeats commands for.

Of a WRITE no more than `MAX_KEPT_BYTES` are kept; a longer one is told to have failed. The sense
data behind ABORTED COMMAND are the replica's own: the device knows of no failure. They also stand
for those of a command that the device failed and that the host had not asked for yet: the reset
has made the device forget them.
"""

import asyncio
from abc import abstractmethod

from gadgetip.pump.shapers import scsi
from gadgetip.pump.shapers.base import ShaperContext, Side
from gadgetip.pump.shapers.bot_initiator import BotInitiator
from gadgetip.pump.shapers.bot_memory import MAX_ANSWER_BYTES, BotMemory
from gadgetip.pump.shapers.bot_recovery import NO_COMMAND, BotRecovery
from gadgetip.pump.shapers.bot_wrappers import CBW_LENGTH, CommandBlockWrapper, pack_status

MAX_KEPT_BYTES = 4 * 1024 * 1024
_PASSED = 0
_FAILED = 1
_REASON = scsi.Sense(scsi.ABORTED_COMMAND, *scsi.COMMUNICATION_FAILURE)


class BotHold(BotRecovery):
    """What is kept of the present command, and how it is brought to an end after a loss."""

    def __init__(self, out: Side, in_: Side, context: ShaperContext) -> None:
        self._may_hold = context.may_hold
        self._memory = BotMemory()
        self._sense: tuple[int, scsi.Sense] | None = None
        """The replica's own sense data, and the unit that they are for."""
        super().__init__(out, in_, context)

    def _begin_command(self, command: CommandBlockWrapper) -> None:
        super()._begin_command(command)
        self._kept: list[bytes] | None = []
        """The CBW and the data behind it; None where that is too much to keep."""
        self._kept_bytes = 0
        self._answer = bytearray()
        """The beginning of what the device says, for commands that `BotMemory` wants."""
        self._host_has = 0
        """Data-in bytes that the host got before the link was lost, by all attempts together."""
        self._has_failed = False
        """Whether the device has told of a failure: it keeps sense data for the host."""
        self._absorbing = False
        """Whether the rest of the host's data is taken and dropped."""

    @abstractmethod
    def _take_data(self) -> None:
        """Ask the host for data-out."""

    @abstractmethod
    def _command_came(self, data: bytes) -> None:
        """Carry out what the host sent as a CBW."""

    @abstractmethod
    def _send(self, data: bytes, *, is_command: bool) -> None:
        """Send data to the device that is kept already."""

    # --- while all is well --------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        if not self._may_hold or self._kept is None:
            return
        self._kept_bytes += len(data)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self._kept = None
        else:
            self._kept.append(data)

    def _note_command(self) -> None:
        if self._may_hold and self._command is not NO_COMMAND:
            self._memory.used(self._command.unit)

    def _note_units(self, units: int) -> None:
        """A lane has sent commands to these units, bit by bit."""
        for unit in range(units.bit_length()):
            if self._may_hold and units >> unit & 1:
                self._memory.used(unit)

    def _note_kept(self, kept: bytes | None, piece: int) -> None:
        """A lane has kept this of the command: its CBW and data; None where that was too much."""
        if kept is None or not self._may_hold:
            self._kept = None if self._may_hold else self._kept
            return
        data = kept[CBW_LENGTH:]
        pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        self._kept, self._kept_bytes = [kept[:CBW_LENGTH], *pieces], len(kept)

    def _note_data(self, data: bytes) -> None:
        if self._may_hold and self._memory.wants(self._command):
            self._answer += data[: MAX_ANSWER_BYTES - len(self._answer)]

    def _note_status(self, status: int | None) -> None:
        if not self._may_hold or status is None:
            return
        self._has_failed = status == _FAILED
        if status == _PASSED:
            self._memory.passed(self._command, bytes(self._answer))

    def _answers_itself(self, command: CommandBlockWrapper | None) -> bool:
        """Answer REQUEST SENSE after a failure that the replica made up; whether it did."""
        sense, self._sense = self._sense, None
        if (
            sense is None
            or command is None
            or command.operation != scsi.REQUEST_SENSE
            or command.unit != sense[0]
            or (command.data_length and not command.data_in)
        ):
            return False
        data = sense[1].pack()[: command.data_length]
        if command.data_length:
            self._write(data)
        self._write(pack_status(command.tag, command.data_length - len(data), 0))
        self._expect_command()
        return True

    # --- the link is lost, and back -----------------------------------------------------------

    def suspend(self) -> None:
        """Keep the host waiting."""
        super().suspend()
        self._stop_watching()
        for address, recovery in self._recoveries.items():
            # A halt in place of data that the host did not get is nobody's but the host's.
            if self._behind_halt is None or address != self.in_.route.address:
                recovery.cancel()

    async def resume(self) -> None:
        """Bring the device back, then what the host waits for."""
        losses = self._losses
        await BotInitiator(self.out, self.in_).restore(self._memory)
        # Recoveries that were under way have been cancelled; their last step is over by now.
        await asyncio.gather(*self._recoveries.values(), return_exceptions=True)
        self._refuse_lost(losses)
        self.held = False
        self.running = True
        self._stalls = 0
        if self._has_failed:
            self._sense = (self._command.unit, _REASON)
            self._has_failed = False
        if self._under_way and self._waiting_command is None:
            self._bring_to_an_end()
        else:  # where a CBW waits the host has given up what was under way
            self._count_posted()
            self._expect_command()

    def _count_posted(self) -> None:
        """What was on its way to the device at the loss, and what came since, is not sent again.

        The device has it where it has answered with a CSW.
        """
        if self._status_seen:
            self.out.statistics.moved += self._bytes_out
        else:
            self.out.statistics.discarded += self._bytes_out
        self._bytes_out = 0

    def _bring_to_an_end(self) -> None:
        command = self._command
        if self._status_seen and self._data_over:
            self._count_posted()
            self._finish()
        elif self._kept is not None and (command is NO_COMMAND or self._may_be_repeated()):
            self._repeat(self._kept)
            if command is NO_COMMAND:
                self._expect_command()
        else:
            self._count_posted()
            self._absorb()

    def _may_be_repeated(self) -> bool:
        return self._command.operation in scsi.REPEATABLE and not (
            self._status_seen
            or self._out_refused
            or self._has_hole
            or self._absorbing
            or self._host_saw_end
            or (self._data_over and self._at_host < self._command.data_length)
        )

    @property
    def _at_host(self) -> int:
        """Bytes of the data stage that the host has got, or given."""
        return max(self._moved, self._host_has)

    def _repeat(self, kept: list[bytes]) -> None:
        self._bytes_out = 0
        self._status_asked = self._empty_seen = self._overdue = self._out_refused = False
        if self._command.data_in:
            self._host_has = self._at_host
            self._asked = self._moved = 0
            self._data_over = False
        for index, data in enumerate(kept):
            self._send(data, is_command=index == 0)
        if not self._command.data_in and not self._data_over:
            self._take_data()
        self._ask()

    def _end_data_in(self) -> None:
        """Let the host meet the end of its data, where it has not, and expects more."""
        if self._at_host < self._command.data_length and not self._host_saw_end:
            if self._at_host % self.in_.route.host_max_packet == 0:
                self._write(b"")
            self._host_saw_end = True

    # --- a command that is told to have failed --------------------------------------------------

    def _absorb(self) -> None:
        """Take what the host still has to send, then tell it that the command failed."""
        self._absorbing = True
        is_in = self._command.data_in
        if not is_in and not self._host_saw_end and self._moved < self._command.data_length:
            self._data_over = False
            self._take_data()
            return
        self._tell_failed()

    def _tell_failed(self) -> None:
        command = self._command
        if not self._status_seen:
            if command.data_in:
                self._end_data_in()
            residue = max(0, command.data_length - self._at_host)
            self._write(pack_status(command.tag, residue, _FAILED))
            self._sense = (command.unit, _REASON)
            self.context.noticed(
                f"a command (operation 0x{command.operation & 0xFF:02x}) was under way when the "
                "link was lost: the host was told that it failed, and repeats it"
            )
        self._absorbing = False
        self._under_way = False
        self._data_over = True
        self._expect_command()

    def forget(self) -> None:
        """A reset by the host ends this too."""
        self._waiting_command = None
        self._sense = None
