"""The pump in Python: the reference, and what runs where no other one does.

It puts the pieces together: for each route the two ends of the endpoint, for each piece of work
its shaper. Order is its own concern. The host expects that a request on endpoint 0 which changes
the device acts behind the data that it wrote before; since writes are posted, such a request
waits at a *fence* until the device has confirmed them, for a bounded time. A request that cancels
(a bulk-only reset) does not wait: it stops its shaper, goes out, and the shaper starts anew.
"""

import asyncio
from collections.abc import Callable, Mapping

from gadgetip.errors import GadgetipError
from gadgetip.pump.endpoint_files import ReplicaEndpoint, RequestQueue
from gadgetip.pump.interface import EndpointRoute, PumpListener, Shaping
from gadgetip.pump.remote_endpoint import RemoteEndpoint
from gadgetip.pump.shapers import (
    BotShaper,
    PacketInShaper,
    PacketOutShaper,
    Shaper,
    ShaperContext,
    Side,
)
from gadgetip.pump.statistics import EndpointStatistics
from gadgetip.pump.urbs import UrbStream
from gadgetip.usb import Direction, RequestType, SetupPacket

CONTROL_LIMIT_S = 5.0
FENCE_LIMIT_S = 5.0
FENCE_POLL_S = 0.001
MAX_REQUESTS = 1024
"""Requests on the endpoint files at a time; the windows of the routes add up to far less."""


class PythonPump:
    """See `gadgetip.pump.interface.Pump`.

    `files` gives the open endpoint file (a file descriptor, read-write and non-blocking) for each
    device's bEndpointAddress; `max_requests` bounds the requests on all of them together.
    """

    def __init__(
        self,
        urbs: UrbStream,
        files: Mapping[int, int],
        listener: PumpListener,
        *,
        max_requests: int = MAX_REQUESTS,
        control_limit_s: float = CONTROL_LIMIT_S,
    ) -> None:
        self._urbs = urbs
        self._listener = listener
        self._control_limit_s = control_limit_s
        self._files = files
        self._queue = RequestQueue(max_requests, urbs.batch)
        self._context = ShaperContext(noticed=listener.noticed, device_gone=listener.device_gone)
        self._statistics = {address: EndpointStatistics() for address in files}
        self._shapers: list[Shaper] = []
        self._started = False

    def attach(self) -> None:
        """Take the stream and the endpoint files onto the running event loop."""
        self._urbs.on_ended = self._link_ended
        self._urbs.attach()
        self._queue.attach()

    def close(self) -> None:
        """Cancel what is queued on the endpoint files and end the stream."""
        self._queue.close()
        self._urbs.close()

    @property
    def statistics(self) -> dict[int, EndpointStatistics]:
        """What has moved so far, by the device's bEndpointAddress."""
        return dict(self._statistics)

    async def start(self, routes: tuple[EndpointRoute, ...]) -> None:
        """Open these endpoints."""
        if self._started:
            await self.stop()
        self._started = True
        self._shapers = _make_shapers([self._side(route) for route in routes], self._context)
        for shaper in self._shapers:
            shaper.start()

    async def stop(self) -> None:
        """Cancel everything in flight on both sides and await each answer."""
        self._started = False
        await asyncio.gather(*(shaper.stop() for shaper in self._shapers))

    async def control(self, setup: SetupPacket, data: bytes = b"") -> bytes:
        """Carry one control request to the device, in the host's order."""
        claimed = [s for s in self._shapers if s.claims(setup)]
        if claimed:
            await asyncio.gather(*(shaper.stop() for shaper in claimed))
            try:
                answer = await self._urbs.control(setup, data, limit_s=self._control_limit_s)
                # The host clears both halts next (BOT, 5.3.4); that never reaches user space.
                for side in (side for shaper in claimed for side in shaper.sides):
                    await side.remote.clear_halt()
                return answer
            finally:
                if self._started:
                    for shaper in claimed:
                        shaper.start()
        if _changes_the_device(setup):
            await self.fence()
        return await self._urbs.control(setup, data, limit_s=self._control_limit_s)

    async def fence(self, limit_s: float = FENCE_LIMIT_S) -> int:
        """Wait until posted data is confirmed; returns the bytes that are not after `limit_s`."""
        deadline = asyncio.get_running_loop().time() + limit_s
        while (unconfirmed := self._unconfirmed()) and self._urbs.ended is None:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(FENCE_POLL_S)
        return unconfirmed

    async def finish(self, limit_s: float) -> int:
        """Take no more from the host; wait for what it was told is written."""
        for shaper in self._shapers:
            shaper.hold()
        return await self.fence(limit_s)

    def _side(self, route: EndpointRoute) -> Side:
        is_in = route.direction is Direction.IN
        return Side(
            route,
            RemoteEndpoint(self._urbs, route, control_limit_s=self._control_limit_s),
            ReplicaEndpoint(self._queue, self._files[route.address], is_in=is_in),
            self._statistics[route.address],
        )

    def _unconfirmed(self) -> int:
        return sum(shaper.unconfirmed for shaper in self._shapers)

    def _link_ended(self, reason: GadgetipError) -> None:
        self._listener.link_ended(str(reason))


def _changes_the_device(setup: SetupPacket) -> bool:
    """Whether a request must act behind the data written before it: class and vendor OUT."""
    return setup.direction is Direction.OUT and setup.type in {
        RequestType.CLASS,
        RequestType.VENDOR,
    }


def _make_shapers(sides: list[Side], context: ShaperContext) -> list[Shaper]:
    """One shaper for each endpoint, or for the pair where the shaping needs both directions."""
    shapers: list[Shaper] = []
    pairs: dict[int, dict[Direction, Side]] = {}
    single: dict[Direction, Callable[[Side, ShaperContext], Shaper]] = {
        Direction.IN: PacketInShaper,
        Direction.OUT: PacketOutShaper,
    }
    for side in sides:
        route = side.route
        if route.shaping is Shaping.BOT:
            pairs.setdefault(route.interface, {})[route.direction] = side
        else:
            shapers.append(single[route.direction](side, context))
    shapers.extend(
        BotShaper(pair[Direction.OUT], pair[Direction.IN], context) for pair in pairs.values()
    )
    return shapers
