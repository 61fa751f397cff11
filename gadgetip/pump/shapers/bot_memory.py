"""What a host was told of its disk, kept for the moment when it has to be true again.

A device that is imported anew after a lost link may be another one with the same face. What the
host believes is in the answers that passed: the identity, the serial number, the capacity. They
are noted here as they pass, per logical unit, with the one order of the host's that a reset makes
the device forget: to keep its medium in.
"""

from dataclasses import dataclass

from gadgetip.pump.shapers import scsi
from gadgetip.pump.shapers.bot_wrappers import CommandBlockWrapper

MAX_ANSWER_BYTES = 256


@dataclass(slots=True)
class UnitMemory:
    """One logical unit, as the host knows it; None is "the host never asked".

    `identity` is what INQUIRY answers in its first 36 bytes, or as many as the host asked for;
    `serial` the page of that name; `capacity` the last block and the block length in bytes, of the
    medium that the host was not told is gone.
    """

    identity: bytes | None = None
    serial: bytes | None = None
    capacity: tuple[int, int] | None = None
    is_removal_prevented: bool = False


class BotMemory:
    """The units that the host has used."""

    def __init__(self) -> None:
        self.units: dict[int, UnitMemory] = {}

    @staticmethod
    def wants(command: CommandBlockWrapper) -> bool:
        """Whether what answers this command is to be noted."""
        return command.operation in {
            scsi.INQUIRY,
            scsi.REQUEST_SENSE,
            scsi.READ_CAPACITY_10,
            scsi.SERVICE_ACTION_IN_16,
        }

    def used(self, number: int) -> None:
        """The host has sent a command to this unit, be there one or not."""
        self.units.setdefault(number, UnitMemory())

    def passed(self, command: CommandBlockWrapper, answer: bytes) -> None:
        """The device has carried out a command of the host's; `answer` is its data."""
        unit = self.units.setdefault(command.unit, UnitMemory())
        block = command.block
        if command.operation == scsi.INQUIRY:
            if scsi.asks_for_serial(block):
                unit.serial = answer[: scsi.SERIAL_BYTES]
            elif scsi.asks_for_standard_data(block):
                unit.identity = answer[: scsi.INQUIRY_BYTES]
        elif command.operation == scsi.REQUEST_SENSE:
            if scsi.Sense.read(answer).is_without_medium:
                unit.capacity = None
        elif command.operation == scsi.READ_CAPACITY_10:
            unit.capacity = scsi.capacity_of(answer, is_16=False) or unit.capacity
        elif command.operation == scsi.SERVICE_ACTION_IN_16 and scsi.asks_for_capacity_16(block):
            unit.capacity = scsi.capacity_of(answer, is_16=True) or unit.capacity
        elif command.operation == scsi.PREVENT_ALLOW_MEDIUM_REMOVAL and len(block) > 4:
            unit.is_removal_prevented = bool(block[4] & 1)
