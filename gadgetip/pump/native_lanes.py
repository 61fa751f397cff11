"""The lanes of the native pump: those of `lanes`, by their numbers in the engine."""

import logging

from gadgetip.pump.interface import Shaping
from gadgetip.pump.lanes import LaneRequest, LaneState, LaneUrb, Role
from gadgetip.pump.native_endpoint import NativeReplicaEndpoint
from gadgetip.pump.native_engine import NativeEngine
from gadgetip.pump.shapers import BotShaper, InShaper, OutShaper, Side
from gadgetip.pump.shapers.bot_hold import MAX_KEPT_BYTES
from gadgetip.usb import Direction

log = logging.getLogger(__name__)


class NativeLane:
    """One lane; `sides` are the shaper's, whose statistics it goes on with."""

    def __init__(self, engine: NativeEngine, number: int, sides: list[Side]) -> None:
        self.number = number
        self.is_lent = False
        self._engine = engine
        self._sides = {side.route.direction: side for side in sides}

    @property
    def unconfirmed(self) -> int:
        """Bytes taken from the host and not confirmed."""
        return self.count()

    def count(self) -> int:
        """Bring the statistics of the sides up to date; returns the bytes not confirmed."""
        if self._engine.is_closed:
            return 0
        counted = self._engine.core.counters(self.number)
        for direction, urbs, moved in (
            (Direction.IN, counted[0], counted[1]),
            (Direction.OUT, counted[2], counted[3]),
        ):
            if direction in self._sides:
                self._sides[direction].statistics.urbs += urbs
                self._sides[direction].statistics.moved += moved
        return int(counted[4])

    def take_back(self) -> LaneState | None:
        """Its state; None where it has none."""
        state = None if self._engine.is_closed else self._engine.core.seize(self.number)
        if state is None:
            return None
        self.is_lent = False
        self.count()
        urbs, requests, arrived, place = state
        return LaneState(
            [LaneUrb(seqnum, is_in, Role(role), *rest) for seqnum, is_in, role, *rest in urbs],
            [
                LaneRequest(number, is_write, Role(role), *rest)
                for number, is_write, role, *rest in requests
            ],
            arrived,
            place,
        )

    def drop(self) -> None:
        """Nobody needs it any more; its shaper has taken everything back."""
        if not self._engine.core.drop_lane(self.number):
            log.error("lane %d is dropped with something in its hands", self.number)


class NativeInLane(NativeLane):
    """See `InLane`."""

    def lend(self, armed: int, max_writes: int) -> bool:
        """Go on with `armed` URBs in flight until one has brought something."""
        self.is_lent = not self._engine.is_closed and bool(
            self._engine.core.lend_in(self.number, armed, max_writes)
        )
        return self.is_lent

    def reports(self) -> list[bytes]:
        """The last data of each kind since this was asked before; its first byte is the kind."""
        return list(self._engine.core.reports(self.number))


class NativeOutLane(NativeLane):
    """See `OutLane`."""

    def lend(self) -> bool:
        """Go on."""
        self.is_lent = not self._engine.is_closed and bool(self._engine.core.lend_out(self.number))
        return self.is_lent


class NativeBotLane(NativeLane):
    """See `BotLane`."""

    def lend(self, command: bytes, *, patient: bool, read_bytes: int) -> bool:
        """Carry out this CBW and those behind it."""
        self.is_lent = not self._engine.is_closed and bool(
            self._engine.core.lend_bot(self.number, command, patient, read_bytes)
        )
        return self.is_lent


def _file(side: Side) -> int:
    assert isinstance(side.replica, NativeReplicaEndpoint)
    return side.replica.number


def in_lane(engine: NativeEngine, shaper: InShaper, *, is_observed: bool) -> NativeInLane | None:
    """A lane for this shaper, or None where the engine has none for it."""
    side, route = shaper.side, shaper.side.route
    ends_short = route.shaping is Shaping.SHORT
    if ends_short and shaper.urb_bytes % route.host_max_packet:
        return None  # a URB may end in the middle of a packet of the host's
    number = engine.core.in_lane(
        _file(side),
        route.number,
        route.interval,
        shaper.urb_bytes,
        route.device_max_packet,
        route.host_max_packet,
        shaper.window,
        max(route.transfer_bytes, route.device_max_packet),
        ends_short,
        is_observed,
    )
    return None if number is None else NativeInLane(engine, number, shaper.sides)


def out_lane(engine: NativeEngine, shaper: OutShaper) -> NativeOutLane | None:
    """A lane for this shaper, or None where the engine has none for it."""
    side, route = shaper.side, shaper.side.route
    number = engine.core.out_lane(
        _file(side),
        route.number,
        route.interval,
        shaper.read_bytes,
        route.device_max_packet,
        route.host_max_packet,
        route.window_urbs,
        max(route.transfer_bytes, route.host_max_packet),
        route.shaping is Shaping.SHORT,
    )
    return None if number is None else NativeOutLane(engine, number, shaper.sides)


def bot_lane(engine: NativeEngine, shaper: BotShaper, *, may_hold: bool) -> NativeBotLane | None:
    """A lane for this shaper, or None where the engine has none for it."""
    out, in_ = (
        (
            _file(side),
            side.route.number,
            side.route.device_max_packet,
            side.route.host_max_packet,
            window,
            side.route.transfer_bytes,
        )
        for side, window in (
            (shaper.out, shaper.out.route.window_urbs),
            (shaper.in_, shaper.window_in),
        )
    )
    number = engine.core.bot_lane(out, in_, MAX_KEPT_BYTES if may_hold else 0)
    return None if number is None else NativeBotLane(engine, number, shaper.sides)
