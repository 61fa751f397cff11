"""A bulk-only disk whose link is lost, and comes back: what becomes of the command under way.

The host waits for the answer to one command, or for nothing. When the device is back (reset, and
known to be the same: `bot_initiator`), one of these follows:

* nothing was under way: the next CBW, which the host may have sent meanwhile, is carried out;
* a READ or a WRITE is carried out again from its CBW. What the host has of a READ's data is not
  written a second time; what it gave of a WRITE's data was kept. Twice is as good as once, since
  the same blocks end up the same, and no other command came between;
* anything else may have been carried out or not, and may not be done twice. The host is told that
  it failed, with ABORTED COMMAND as the reason, which is what its driver repeats commands for.

Of a WRITE no more than `MAX_KEPT_BYTES` are kept; a longer one is told to have failed. The sense
data behind ABORTED COMMAND are the replica's own: the device knows of no failure.
"""

import asyncio
from abc import abstractmethod

from gadgetip.pump.shapers import scsi
from gadgetip.pump.shapers.base import ShaperContext, Side
from gadgetip.pump.shapers.bot_initiator import BotInitiator
from gadgetip.pump.shapers.bot_memory import MAX_ANSWER_BYTES, BotMemory
from gadgetip.pump.shapers.bot_recovery import BotRecovery
from gadgetip.pump.shapers.bot_wrappers import CommandBlockWrapper, pack_status

MAX_KEPT_BYTES = 4 * 1024 * 1024
_FAILED = 1


class BotHold(BotRecovery):
    """What is kept of the present command, and how it is brought to an end after a loss."""

    def __init__(self, out: Side, in_: Side, context: ShaperContext) -> None:
        self._may_hold = context.may_hold
        self._memory = BotMemory()
        self._waiting_command: bytes | None = None
        """A CBW that the host sent while it was kept waiting."""
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
        """Data-in bytes that the host got before the link was lost."""
        self._host_saw_end = False
        self._absorbing = False
        """Whether the rest of the host's data is taken and dropped."""

    @abstractmethod
    def _take_data(self) -> None:
        """Ask the host for data-out."""

    @abstractmethod
    def _post(self, data: bytes, *, is_command: bool = False) -> None:
        """Send data to the device."""

    # --- while all is well --------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        if not self._may_hold or self._kept is None:
            return
        self._kept_bytes += len(data)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self._kept = None
        else:
            self._kept.append(data)

    def _note_data(self, data: bytes) -> None:
        if self._may_hold and self._memory.wants(self._command):
            self._answer += data[: MAX_ANSWER_BYTES - len(self._answer)]

    def _note_passed(self) -> None:
        if self._may_hold:
            self._memory.passed(self._command, bytes(self._answer))

    def _answers_itself(self, command: CommandBlockWrapper | None) -> bool:
        """Answer REQUEST SENSE after a failure that the replica made up; whether it did."""
        sense, self._sense = self._sense, None
        if (
            sense is None
            or command is None
            or command.operation != scsi.REQUEST_SENSE
            or command.unit != sense[0]
        ):
            return False
        data = sense[1].pack()[: command.data_length if command.data_in else 0]
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

    async def resume(self) -> None:
        """Bring the device back, then what the host waits for."""
        await BotInitiator(self.out, self.in_).restore(self._memory)
        # Recoveries that were under way have been cancelled; their last step is over by now.
        await asyncio.gather(*self._recoveries.values(), return_exceptions=True)
        self.held = False
        self.running = True
        self._bytes_out = 0
        self._stalls = 0
        if self._under_way:
            self._bring_to_an_end()
        elif self._waiting_command is not None:
            command, self._waiting_command = self._waiting_command, None
            self._command_came(command)
        else:
            self._expect_command()

    def _bring_to_an_end(self) -> None:
        command = self._command
        is_sound = not (self._status_seen or self._out_refused or self._has_hole)
        if self._status_seen and self._data_over:
            self._finish()
        elif not command.block:
            # It was no valid CBW, and the device that it was to stall has been reset.
            self._under_way = False
            self._expect_command()
        elif is_sound and command.operation in scsi.REPEATABLE and self._kept is not None:
            self._repeat(self._kept)
        else:
            self._absorb()

    def _repeat(self, kept: list[bytes]) -> None:
        self._status_asked = self._empty_seen = False
        if self._command.data_in:
            packet = self.in_.route.host_max_packet
            self._host_has = self._moved
            self._host_saw_end = self._data_over or self._moved % packet != 0
            self._asked = self._moved = 0
            self._data_over = False
        for index, data in enumerate(kept):
            self._send(data, is_command=index == 0)
        if not self._command.data_in and not self._data_over:
            self._take_data()
        self._ask()

    @abstractmethod
    def _send(self, data: bytes, *, is_command: bool) -> None:
        """Send data to the device that is kept already."""

    def _fresh(self, data: bytes) -> bytes:
        """Of data that the device gave again, what the host does not have; `_moved` is before it.

        Once the host saw the end of its data it gets no more of it.
        """
        if self._host_saw_end:
            return b""
        return data[max(0, self._host_has - self._moved) :]

    # --- a command that is told to have failed --------------------------------------------------

    def _absorb(self) -> None:
        """Take what the host still has to send, then tell it that the command failed."""
        self._absorbing = True
        if not self._command.data_in and self._moved < self._command.data_length:
            self._data_over = False
            self._take_data()
            return
        self._tell_failed()

    def _tell_failed(self) -> None:
        command = self._command
        residue = max(0, command.data_length - self._moved)
        self._behind_halt = None  # the recovery that would have written it is gone
        if not self._status_seen:
            packet = self.in_.route.host_max_packet
            if command.data_in and residue and not self._data_over and self._moved % packet == 0:
                self._write(b"")
            self._write(pack_status(command.tag, residue, _FAILED))
            self._sense = (
                command.unit,
                scsi.Sense(scsi.ABORTED_COMMAND, *scsi.COMMUNICATION_FAILURE),
            )
        self.context.noticed(
            f"a command (operation 0x{command.operation & 0xFF:02x}) was under way when the link "
            "was lost: the host was told that it failed, and repeats it"
        )
        self._absorbing = False
        self._under_way = False
        self._data_over = True
        self._expect_command()

    def forget(self) -> None:
        """A reset by the host ends this too."""
        self._waiting_command = None
        self._sense = None
