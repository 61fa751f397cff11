"""The information units of USB Attached SCSI, as far as a shaper has to read them.

Source: USB Attached SCSI (T10/2095-D), 6.2; drivers/usb/storage/uas.c and include/linux/usb/uas.h
have the same layouts. Tags are big-endian, as everything in SCSI.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

_HEADER = struct.Struct(">BxH")
_TASK = struct.Struct(">BxHBxH")
_CDB_AT = 16
_CDB_BYTES = 16

BLOCK_SIZES = frozenset({512, 1024, 2048, 4096})
"""What a logical block of a disk or a disc may have."""


class UnitId(IntEnum):
    """The first byte of an information unit."""

    COMMAND = 0x01
    SENSE = 0x03
    RESPONSE = 0x04
    TASK_MANAGEMENT = 0x05
    READ_READY = 0x06
    WRITE_READY = 0x07


class TaskFunction(IntEnum):
    """What a task management unit asks for, of those that end tasks."""

    ABORT_TASK = 0x01
    ABORT_TASK_SET = 0x02
    CLEAR_TASK_SET = 0x04
    LOGICAL_UNIT_RESET = 0x08
    I_T_NEXUS_RESET = 0x10


@dataclass(frozen=True, slots=True)
class Unit:
    """One information unit: its id, which may be unknown, its tag, and all of its bytes."""

    id: int
    tag: int
    data: bytes

    @classmethod
    def read(cls, data: bytes | memoryview) -> "Unit | None":
        """The unit in one transfer, or None where that is too short to be one."""
        if len(data) < _HEADER.size:
            return None
        unit, tag = _HEADER.unpack_from(data)
        return cls(unit, tag, bytes(data))

    @property
    def cdb(self) -> bytes:
        """The SCSI command of a command unit."""
        return self.data[_CDB_AT : _CDB_AT + _CDB_BYTES]

    def ends(self, tag: int) -> bool:
        """Whether a task management unit, once it is answered, has ended the task with this tag."""
        if self.id != UnitId.TASK_MANAGEMENT or len(self.data) < _TASK.size:
            return False
        _, _, function, managed = _TASK.unpack_from(self.data)
        if function == TaskFunction.ABORT_TASK:
            return bool(managed == tag)
        return function in set(TaskFunction)


def may_be_all(cdb: bytes, received: int) -> bool:
    """Whether `received` bytes may be all the data that a command asked for.

    Commands count bytes or blocks, and how long a block is the command does not say: any usual
    size counts. False where the command is unknown.
    """
    count = _count(cdb)
    if not count:
        return False
    is_blocks = cdb[0] in _BLOCK_COUNTS
    whole, rest = divmod(received, count)
    return rest == 0 and (whole in BLOCK_SIZES if is_blocks else whole == 1)


# Where the transfer length of a command stands: offset and length (SPC-4, SBC-3, MMC-6).
_BLOCK_COUNTS = {0x08: (4, 1), 0x28: (7, 2), 0xA8: (6, 4), 0x88: (10, 4)}
_BYTE_COUNTS = {
    0x03: (4, 1),  # REQUEST SENSE
    0x12: (3, 2),  # INQUIRY
    0x1A: (4, 1),  # MODE SENSE (6)
    0x23: (7, 2),  # READ FORMAT CAPACITIES
    0x43: (7, 2),  # READ TOC/PMA/ATIP
    0x4D: (7, 2),  # LOG SENSE
    0x5A: (7, 2),  # MODE SENSE (10)
    0x9E: (10, 4),  # SERVICE ACTION IN (16)
    0xA0: (6, 4),  # REPORT LUNS
    0xA3: (6, 4),  # MAINTENANCE IN
}


def _count(cdb: bytes) -> int:
    """The transfer length of a command in its own unit; 0 where that is unknown."""
    place = (_BLOCK_COUNTS | _BYTE_COUNTS).get(cdb[0]) if cdb else None
    if place is None:
        return 0
    offset, length = place
    count = int.from_bytes(cdb[offset : offset + length], "big")
    if cdb[0] == 0x08 and count == 0:
        return 256  # READ (6)
    return count
