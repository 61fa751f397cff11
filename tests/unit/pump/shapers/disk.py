"""A disk that keeps what was written to it, and forgets everything else in a reset.

It is a `Storage` that carries out SCSI commands. Its blocks are of one byte, so that transfers of
any length can be drawn. A reset causes a UNIT ATTENTION, as at every disk (SAM-5, 5.14): the next
command fails with it, unless it is INQUIRY or REQUEST SENSE.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field

from .storage import Reaction, Storage
from .world import Line, Word

TEST_UNIT_READY, REQUEST_SENSE, INQUIRY, PREVENT = 0x00, 0x03, 0x12, 0x1E
READ_CAPACITY, READ, WRITE, SYNCHRONIZE_CACHE, VENDOR = 0x25, 0x28, 0x2A, 0x35, 0xC5

SERIAL_PAGE = bytes([INQUIRY, 1, 0x80, 0, 255, 0])

RESET_OCCURRED = (0x06, 0x29, 0x00)
MEDIUM_CHANGED = (0x06, 0x28, 0x00)
MEDIUM_NOT_PRESENT = (0x02, 0x3A, 0x00)
BECOMING_READY = (0x02, 0x04, 0x01)
MEDIUM_ERROR = (0x03, 0x11, 0x00)
ABORTED = (0x0B, 0x08, 0x00)
NO_SENSE = (0x00, 0x00, 0x00)

SensePart = tuple[int, int, int]


def ten(operation: int, at: int = 0, count: int = 0) -> bytes:
    """A command block of ten bytes: READ, WRITE, READ CAPACITY, SYNCHRONIZE CACHE."""
    return struct.pack(">BBIxHx", operation, 0, at, count)


def six(operation: int, length: int = 0) -> bytes:
    """A command block of six bytes."""
    return bytes([operation, 0, 0, 0, length, 0])


def read_sense(data: bytes) -> SensePart:
    assert len(data) == 18
    return data[2] & 0x0F, data[12], data[13]


@dataclass
class Unit:
    """One logical unit; `attention` is reported once, `sense` explains the last failure."""

    medium: bytearray = field(default_factory=lambda: bytearray(1 << 14))
    identity: bytes = bytes(8) + b"GADGETIPDISK IN A TEST  1.00"
    serial: bytes = b"\0\x80\0\x06SER123"
    last_block: int = (1 << 14) - 1
    attention: SensePart | None = None
    sense: SensePart = NO_SENSE
    not_ready: SensePart | None = None
    ready_after: int | None = None
    """After how many more TEST UNIT READY it is, where it is not; None is never."""
    is_prevented: bool = False


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the host's command of one tag, each time it is carried out.

    IN: the data ends after `ends_after` bytes, with a stall if `stalls`. OUT: `takes` packets are
    taken. `fails`: the CSW says so, and the sense data MEDIUM ERROR.
    """

    ends_after: int | None = None
    stalls: bool = False
    takes: int | None = None
    status_stalls: int = 0
    extra_empty: int = 0
    fails: bool = False


class Disk(Storage):
    """The device; `units` by logical unit number, `faults` by tag."""

    def __init__(self, out: Line, in_: Line) -> None:
        super().__init__(out, in_)
        self.units = {0: Unit()}
        self.faults: dict[int, Fault] = {}
        self.done: Counter[int] = Counter()
        """How often the command of each tag was carried out, data and all."""
        self.vendor_data: dict[int, bytes] = {}
        self.is_silent = False
        self.stalls_all = False
        self._block = b""
        self._unit = Unit()

    def power_on(self) -> None:
        """The server gave it away and back: it was reset; what is written is written."""
        self.reset()
        for unit in self.units.values():
            unit.attention, unit.sense, unit.is_prevented = RESET_OCCURRED, NO_SENSE, False

    def react(self, block: bytes) -> Reaction:
        """Carry out what is in the CBW; data-out follows packet by packet."""
        self._tag, length, flags, number = struct.unpack("<IIBB", block[4:14])
        self._block = block[15 : 15 + block[14]]
        if self.is_silent:
            return Reaction(silent=True, takes=None)
        if self.stalls_all:
            return Reaction(stall_in=bool(length), status_stalls=9)
        unit = self.units.get(number)
        if unit is None:
            return Reaction(status=1)
        self._unit = unit
        operation = self._block[0]
        if operation not in {INQUIRY, REQUEST_SENSE} and (sense := self._condition(unit)):
            unit.sense = sense
            return Reaction(takes=0, status=1, residue=length)
        fault = self.faults.get(self._tag, Fault())
        data = self._answer_of(unit, operation, length)[:length] if flags & 0x80 else b""
        if fault.ends_after is not None:
            data = data[: fault.ends_after]
        if not (length and not flags & 0x80):
            self.done[self._tag] += 1
        if operation != REQUEST_SENSE:
            unit.sense = MEDIUM_ERROR if fault.fails else NO_SENSE
        return Reaction(
            data=data,
            stall_in=fault.stalls and len(data) < length and bool(flags & 0x80),
            takes=fault.takes,
            status_stalls=fault.status_stalls,
            extra_empty=fault.extra_empty,
            status=int(fault.fails),
            residue=length - len(data) if flags & 0x80 else 0,
        )

    def _condition(self, unit: Unit) -> SensePart | None:
        if unit.attention is not None:
            attention, unit.attention = unit.attention, None
            return attention
        if unit.not_ready is not None:
            if unit.ready_after == 0:
                unit.not_ready = None
            elif unit.ready_after is not None:
                unit.ready_after -= 1
        return unit.not_ready

    def _answer_of(self, unit: Unit, operation: int, length: int) -> bytes:
        if operation == READ:
            at, count = struct.unpack(">IxH", self._block[2:9])
            return bytes(unit.medium[at : at + count])
        if operation == INQUIRY:
            return unit.serial if self._block[1] & 1 else unit.identity
        if operation == READ_CAPACITY:
            return struct.pack(">II", unit.last_block, 1)
        if operation == REQUEST_SENSE:
            key, code, qualifier = unit.attention or unit.sense
            unit.attention, unit.sense = None, NO_SENSE
            return bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0])
        return bytes(length)

    def _data(self, packet: bytes) -> Word | None:
        before = len(self.taken)
        word = super()._data(packet)
        if word is None and self._block[0] == WRITE:
            (at,) = struct.unpack(">I", self._block[2:6])
            self._unit.medium[at + before : at + before + len(packet)] = packet
        elif word is None and self._block[0] == VENDOR:
            self.vendor_data[self._tag] = self.taken
        if word is None and not self._left:
            self.done[self._tag] += 1
            self._unit.is_prevented |= self._block[0] == PREVENT
        return word

    def _answer(self, length: int) -> None:
        if not self.is_silent and self._block[0] == PREVENT and not self._reaction.status:
            self._unit.is_prevented = bool(self._block[4] & 1)
        super()._answer(length)

    def _status(self) -> None:
        if not self.is_silent:
            super()._status()
