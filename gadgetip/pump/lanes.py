"""Lanes: who carries the straight way of a shaper in its place.

While all is well an endpoint needs no decisions, and a lane of the native pump carries it. A shaper
*lends* the lane its endpoints when nothing is under way there, and *adopts* what the lane had in
its hands when it has parked, or when the shaper's own time has come: a halt, an error, a stop.
What is in flight then is named by numbers, whose results come to the shaper from there on.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Role(IntEnum):
    """What a URB or a request of a lane is for (native/lane.h, `role`)."""

    NONE = 0
    COMMAND = 1
    DATA = 2
    STATUS = 3


@dataclass(frozen=True, slots=True)
class LaneUrb:
    """A URB in flight: `size` bytes, `entries` packets of the host's that it stands for."""

    seqnum: int
    is_in: bool
    role: Role
    size: int
    entries: int


@dataclass(frozen=True, slots=True)
class LaneRequest:
    """A request on an endpoint file that is under way; `data` is what a write is to give."""

    number: int
    is_write: bool
    role: Role
    size: int
    entries: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LaneState:
    """What a lane had in its hands: in flight, under way, arrived, and its place in a protocol."""

    urbs: list[LaneUrb]
    requests: list[LaneRequest]
    arrived: list[bytes]
    place: dict[str, int | bool | bytes]

    def number(self, name: str) -> int:
        """A number of `place`; flags are 0 or 1."""
        value = self.place[name]
        assert isinstance(value, int)
        return value

    def bytes(self, name: str) -> bytes:
        """Bytes of `place`."""
        value = self.place[name]
        assert isinstance(value, bytes)
        return value


class Lane(Protocol):
    """What every lane offers beside its own way to be lent."""

    @property
    def is_lent(self) -> bool:
        """Whether it goes on, or what it has in its hands is still to be taken back."""

    @property
    def unconfirmed(self) -> int:
        """Bytes that it has taken from the host and the device has not confirmed."""

    def take_back(self) -> LaneState | None:
        """Its state, which is the shaper's from now on; None where the shaper has it already."""


class InLane(Lane, Protocol):
    """The lane of one IN endpoint."""

    def lend(self, armed: int, max_writes: int) -> bool:
        """Go on with `armed` URBs in flight until one has brought something; False if it cannot."""


class OutLane(Lane, Protocol):
    """The lane of one OUT endpoint."""

    def lend(self) -> bool:
        """Go on; False if it cannot."""


class BotLane(Lane, Protocol):
    """The lane of a bulk-only pair."""

    def lend(self, command: bytes, *, patient: bool, read_bytes: int) -> bool:
        """Carry out this CBW and those behind it; False where that is not for a lane."""
