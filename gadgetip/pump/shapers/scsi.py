"""The few SCSI commands that holding a disk takes (SPC-4, SBC-3): their codes, blocks and answers.

A shaper passes commands on as they are. Only where the link to the device was lost in the middle
of one does it matter which it was, and only then does the replica speak for itself.
"""

from dataclasses import dataclass

TEST_UNIT_READY = 0x00
REQUEST_SENSE = 0x03
INQUIRY = 0x12
PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1E
READ_CAPACITY_10 = 0x25
SERVICE_ACTION_IN_16 = 0x9E
_READ_CAPACITY_16 = 0x10
_UNIT_SERIAL_NUMBER = 0x80

READS = frozenset({0x08, 0x28, 0xA8, 0x88})
"""READ(6), (10), (12), (16)."""

WRITES = frozenset({0x0A, 0x2A, 0xAA, 0x8A, 0x2E, 0xAE, 0x8E})
"""WRITE(6), (10), (12), (16), WRITE AND VERIFY(10), (12), (16)."""

REPEATABLE = READS | WRITES
"""What may be carried out twice: the same blocks end up the same."""

NOT_READY = 0x02
UNIT_ATTENTION = 0x06
ABORTED_COMMAND = 0x0B

MEDIUM_MAY_HAVE_CHANGED = 0x28
BECOMING_READY = (0x04, 0x01)
MEDIUM_NOT_PRESENT = 0x3A
COMMUNICATION_FAILURE = (0x08, 0x00)

SENSE_BYTES = 18
INQUIRY_BYTES = 36
CAPACITY_BYTES = 8
SERIAL_BYTES = 255


@dataclass(frozen=True, slots=True)
class Sense:
    """Why a command failed: the sense key, the additional sense code and its qualifier."""

    key: int
    code: int = 0
    qualifier: int = 0

    @classmethod
    def read(cls, data: bytes) -> "Sense":
        """Fixed or descriptor format (SPC-4, 4.5); what is too short is no sense at all."""
        if data and data[0] & 0x7F in {0x72, 0x73} and len(data) >= 4:
            return cls(data[1] & 0x0F, data[2], data[3])
        if len(data) >= 14:
            return cls(data[2] & 0x0F, data[12], data[13])
        return cls(data[2] & 0x0F if len(data) > 2 else 0)

    @property
    def is_without_medium(self) -> bool:
        """Whether the unit has no medium."""
        return self.key == NOT_READY and self.code == MEDIUM_NOT_PRESENT

    def pack(self) -> bytes:
        """Fixed format, for a command that has just failed."""
        data = bytearray(SENSE_BYTES)
        data[0], data[2], data[7] = 0x70, self.key, SENSE_BYTES - 8
        data[12:14] = self.code, self.qualifier
        return bytes(data)


def test_unit_ready() -> bytes:
    """The command block."""
    return bytes([TEST_UNIT_READY, 0, 0, 0, 0, 0])


def request_sense() -> bytes:
    """The command block; it answers `SENSE_BYTES`."""
    return bytes([REQUEST_SENSE, 0, 0, 0, SENSE_BYTES, 0])


def inquiry() -> bytes:
    """The command block for the standard data; it answers `INQUIRY_BYTES`."""
    return bytes([INQUIRY, 0, 0, 0, INQUIRY_BYTES, 0])


def inquire_serial() -> bytes:
    """The command block for the page "unit serial number"; it answers up to `SERIAL_BYTES`."""
    return bytes([INQUIRY, 1, _UNIT_SERIAL_NUMBER, 0, SERIAL_BYTES, 0])


def read_capacity() -> bytes:
    """The command block; it answers `CAPACITY_BYTES`."""
    return bytes([READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0])


def prevent_removal() -> bytes:
    """The command block that keeps the medium in."""
    return bytes([PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 1, 0])


def asks_for_serial(block: bytes) -> bool:
    """Whether this INQUIRY is for the page "unit serial number"."""
    return len(block) > 2 and bool(block[1] & 1) and block[2] == _UNIT_SERIAL_NUMBER


def asks_for_standard_data(block: bytes) -> bool:
    """Whether this INQUIRY is for the standard data."""
    return len(block) > 2 and not block[1] & 1


def asks_for_capacity_16(block: bytes) -> bool:
    """Whether this SERVICE ACTION IN(16) is READ CAPACITY(16)."""
    return len(block) > 1 and block[1] & 0x1F == _READ_CAPACITY_16


def capacity_of(data: bytes, *, is_16: bool) -> tuple[int, int] | None:
    """The last block and the length of one, in bytes, as READ CAPACITY(10) would say it."""
    width = 8 if is_16 else 4
    if len(data) < width + 4:
        return None
    last = int.from_bytes(data[:width], "big")
    return min(last, 0xFFFFFFFF), int.from_bytes(data[width : width + 4], "big")
