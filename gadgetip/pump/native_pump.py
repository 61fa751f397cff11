"""The native pump: the Python pump, whose straight way is carried in C.

An engine of its own thread (`native/`) has the stream and the endpoint files. Each shaper that has
a lane there lends it its endpoints while all is well; whatever else happens is the shaper's, as in
the Python pump, over the engine's URBs and requests. So the two pumps differ in nothing but speed:
what a halt, an error, a reset or a lost link means is written down once.
"""

from collections.abc import Collection
from functools import partial

from gadgetip.pump.endpoint_requests import EndpointRequests
from gadgetip.pump.interface import EndpointFiles, EndpointRoute, PumpListener
from gadgetip.pump.native_endpoint import NativeReplicaEndpoint
from gadgetip.pump.native_lanes import (
    NativeBotLane,
    NativeInLane,
    NativeLane,
    NativeOutLane,
    bot_lane,
    in_lane,
    out_lane,
)
from gadgetip.pump.native_urbs import NativeUrbStream
from gadgetip.pump.shaper_pump import CONTROL_LIMIT_S, ShaperPump
from gadgetip.pump.shapers import (
    BotShaper,
    PacketInShaper,
    PacketOutShaper,
    Shaper,
    ShortInShaper,
    ShortOutShaper,
)
from gadgetip.pump.statistics import EndpointStatistics
from gadgetip.usb import Direction, SetupPacket


class NativePump(ShaperPump):
    """See `gadgetip.pump.interface.Pump`, and `ShaperPump` for the arguments."""

    def __init__(
        self,
        urbs: NativeUrbStream,
        files: EndpointFiles,
        listener: PumpListener,
        *,
        control_limit_s: float = CONTROL_LIMIT_S,
        may_hold: bool = False,
    ) -> None:
        super().__init__(urbs, files, listener, control_limit_s=control_limit_s, may_hold=may_hold)
        self._engine = urbs.engine
        self._engine.on_parked = self._parked
        self._lanes: dict[Shaper, NativeLane] = {}
        self._references = 0

    def close(self) -> None:
        """Cancel what is queued on the endpoint files, close them, and end the stream."""
        self._count()
        self._references = self.references
        self._lanes.clear()
        self._engine.close()
        super().close()

    @property
    def references(self) -> int:
        """References to this process's memory that some kernels have kept."""
        return self._references if self._engine.is_closed else self._engine.references

    @property
    def statistics(self) -> dict[int, EndpointStatistics]:
        """What has moved so far, by the device's bEndpointAddress, whatever setting it was in."""
        self._count()
        return super().statistics

    def _count(self) -> None:
        for lane in self._lanes.values():
            lane.count()

    async def stop(self, interfaces: Collection[int] | None = None) -> None:
        """Cancel what is in flight on both sides, await each answer, and close the files."""
        await super().stop(interfaces)
        for shaper in [each for each in self._lanes if each not in self._shapers]:
            self._lanes.pop(shaper).drop()

    async def control(self, setup: SetupPacket, data: bytes = b"") -> bytes:
        """Carry one control request to the device, in the host's order."""
        self._show_reports()
        answer = await super().control(setup, data)
        self._show_reports()  # what came before the answer was of the time before it
        return answer

    def suspend(self) -> None:
        """Keep the host waiting: the link is lost, and may come back (`resume`)."""
        self._reclaim_all()
        super().suspend()

    def insert(self, address: int, data: bytes) -> None:
        """Give the host a packet on this IN endpoint that the device did not send."""
        self._reclaim_all()
        super().insert(address, data)

    async def finish(self, limit_s: float) -> int:
        """Take no more from the host; wait for what it was told is written."""
        self._reclaim_all()
        return await super().finish(limit_s)

    def _reclaim_all(self) -> None:
        for shaper in self._shapers:
            self._reclaim(shaper)

    def _reclaim(self, shaper: Shaper) -> None:
        """Let the shaper go on where its lane is."""
        lane = self._lanes.get(shaper)
        if lane is not None and (state := lane.take_back()) is not None:
            self._show_reports_of(shaper)
            shaper.adopt(state)

    def _parked(self, number: int) -> None:
        for shaper, lane in self._lanes.items():
            if lane.number == number:
                self._reclaim(shaper)
                return

    def _show_reports(self) -> None:
        for shaper in self._shapers:
            self._show_reports_of(shaper)

    def _show_reports_of(self, shaper: Shaper) -> None:
        lane = self._lanes.get(shaper)
        observer = self._observers.get(shaper.sides[0].route.address)
        if isinstance(lane, NativeInLane) and observer is not None:
            for report in lane.reports():
                observer(report)

    def _equip(self, shaper: Shaper) -> None:
        lane: NativeInLane | NativeOutLane | NativeBotLane | None = None
        if isinstance(shaper, PacketInShaper | ShortInShaper):
            is_observed = shaper.side.route.address in self._observers
            shaper.lane = lane = in_lane(self._engine, shaper, is_observed=is_observed)
        elif isinstance(shaper, PacketOutShaper | ShortOutShaper):
            shaper.lane = lane = out_lane(self._engine, shaper)
        elif isinstance(shaper, BotShaper):
            shaper.lane = lane = bot_lane(self._engine, shaper, may_hold=self._context.may_hold)
        if lane is not None:
            self._lanes[shaper] = lane
            shaper.reclaim = partial(self._reclaim, shaper)

    def _replica_endpoint(self, route: EndpointRoute, file: int) -> EndpointRequests:
        return NativeReplicaEndpoint(self._engine, file, is_in=route.direction is Direction.IN)
