"""What every pump has in common: shapers, and the order between them and endpoint 0.

It puts the pieces together: for each route the two ends of the endpoint, for each piece of work its
shaper. Who moves the bytes, its kinds say: `python_pump`, `native_pump`. Order is the concern of
this one. The host expects that a request on endpoint 0 acts behind the data that it wrote before;
since writes are posted, such a request waits at a `fence` until the device has confirmed them, for
a bounded time; `control_order` knows which ones. A request that cancels does not wait. Where a
shaper claims it (a bulk-only reset), that shaper alone is stopped, the request goes out, and the
shaper starts anew.
"""

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection

from gadgetip.errors import GadgetipError, LinkLostError, LocalProtocolError
from gadgetip.pump.control_order import CHANGE_IDLE_S, CHANGE_LIMIT_S, fence_limits
from gadgetip.pump.endpoint_requests import EndpointRequests
from gadgetip.pump.fence import Fence
from gadgetip.pump.interface import EndpointFiles, EndpointRoute, PumpListener, Shaping
from gadgetip.pump.remote_endpoint import RemoteEndpoint
from gadgetip.pump.shapers import (
    BotShaper,
    InShaper,
    PacketInShaper,
    PacketOutShaper,
    Shaper,
    ShaperContext,
    ShortInShaper,
    ShortOutShaper,
    Side,
    UasShaper,
)
from gadgetip.pump.statistics import EndpointStatistics
from gadgetip.pump.urbs import UrbStream
from gadgetip.usb import Direction, SetupPacket
from gadgetip.wire import ClientConnection

log = logging.getLogger(__name__)

CONTROL_LIMIT_S = 5.0


class ShaperPump(ABC):
    """See `gadgetip.pump.interface.Pump`.

    `files` opens and closes the endpoint files; `control_limit_s` is how long the device may think
    about a control request. With `may_hold` a lost link suspends the shapers, and `resume` may
    follow.
    """

    def __init__(
        self,
        urbs: UrbStream,
        files: EndpointFiles,
        listener: PumpListener,
        *,
        control_limit_s: float = CONTROL_LIMIT_S,
        may_hold: bool = False,
    ) -> None:
        self._urbs = urbs
        self._listener = listener
        self._control_limit_s = control_limit_s
        self._files = files
        self._context = ShaperContext(listener.noticed, listener.device_gone, may_hold)
        self._observers: dict[int, Callable[[bytes], None]] = {}
        self._statistics: dict[int, EndpointStatistics] = {}
        self._shapers: list[Shaper] = []
        self._fence = Fence(lambda: self._shapers, lambda: urbs.ended is None)

    def attach(self) -> None:
        """Take the stream and the endpoint files onto the running event loop."""
        if self._context.may_hold:
            self._urbs.on_ending = self.suspend
        self._urbs.on_ended = self._link_ended
        self._urbs.attach()

    def close(self) -> None:
        """Cancel what is queued on the endpoint files, close them, and end the stream."""
        self._close_files(self._shapers)
        self._shapers = []
        self._urbs.close()

    @property
    def statistics(self) -> dict[int, EndpointStatistics]:
        """What has moved so far, by the device's bEndpointAddress, whatever setting it was in."""
        return dict(self._statistics)

    @property
    @abstractmethod
    def references(self) -> int:
        """References to this process's memory that some kernels have kept (`request_queue`)."""

    async def start(self, routes: tuple[EndpointRoute, ...]) -> None:
        """Open these endpoints in addition to those that run.

        Raises `GadgetipError` where one cannot be opened: none of them runs then. Raises
        `LocalProtocolError` where an address runs already, `LinkLostError` where the link is lost
        and may come back.
        """
        self._refuse_running(routes)
        if self._context.may_hold and self._urbs.ended is not None:
            raise LinkLostError(str(self._urbs.ended))
        sides = self._open_sides(routes)
        try:
            shapers = _make_shapers(sides, self._context)
        except GadgetipError:
            self._close_sides(sides)
            raise
        self._shapers += shapers
        for shaper in shapers:
            self._equip(shaper)
            if isinstance(shaper, InShaper):
                shaper.observed_by(self._observers.get(shaper.side.route.address))
            shaper.start()

    async def stop(self, interfaces: Collection[int] | None = None) -> None:
        """Cancel what is in flight on both sides, await each answer, and close the files."""
        stopping = [
            shaper
            for shaper in self._shapers
            if interfaces is None or shaper.sides[0].route.interface in interfaces
        ]
        await asyncio.gather(*(shaper.stop() for shaper in stopping))
        self._shapers = [shaper for shaper in self._shapers if shaper not in stopping]
        self._close_files(stopping)

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
                for shaper in claimed:
                    if shaper in self._shapers:
                        shaper.start()
                        if self._context.may_hold and self._urbs.ended is not None:
                            shaper.suspend()  # it was lost before the answer came
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._control_limit_s
        limit_s, idle_s = fence_limits(setup)
        if limit_s:
            # The host has one limit for both, the wait for its data and for the answer.
            await self.fence(min(limit_s, self._control_limit_s / 2), idle_s)
        return await self._urbs.control(setup, data, limit_s=deadline - loop.time())

    def suspend(self) -> None:
        """Keep the host waiting: the link is lost, and may come back (`resume`)."""
        for shaper in self._shapers:
            shaper.suspend()

    def relink(self, stream: socket.socket, devid: int, next_seqnum: int) -> None:
        """Take another stream, over which the same device was imported again."""
        self._urbs.relink(stream, ClientConnection.after_import(devid), devid, next_seqnum)
        self._urbs.attach()

    async def resume(self) -> None:
        """Go on over the new stream; the device is configured as it was.

        Raises `LinkLostError` when it is lost once more, `DeviceChangedError`.
        """
        for shaper in self._shapers:
            await shaper.resume()

    def observe(self, address: int, observer: Callable[[bytes], None]) -> None:
        """Show each URB's data of this IN endpoint to `observer` too, from its next start on."""
        self._observers[address] = observer

    def insert(self, address: int, data: bytes) -> None:
        """Give the host a packet on this IN endpoint that the device did not send."""
        for shaper in self._shapers:
            if isinstance(shaper, InShaper) and shaper.side.route.address == address:
                shaper.insert(data)

    async def fence(
        self, limit_s: float = CHANGE_LIMIT_S, idle_s: float | None = CHANGE_IDLE_S
    ) -> int:
        """Wait until posted data is confirmed; returns the bytes that are not (see `fence`)."""
        return await self._fence.wait(limit_s, idle_s)

    async def finish(self, limit_s: float) -> int:
        """Take no more from the host; wait for what it was told is written."""
        for shaper in self._shapers:
            shaper.hold()
        return await self._fence.wait(limit_s)

    @abstractmethod
    def _equip(self, shaper: Shaper) -> None:
        """Give a new shaper what this pump has for it, before it starts."""

    def _refuse_running(self, routes: tuple[EndpointRoute, ...]) -> None:
        taken = {side.route.address for shaper in self._shapers for side in shaper.sides}
        for route in routes:
            if route.address in taken:
                raise LocalProtocolError(
                    f"endpoint 0x{route.address:02x} runs already: it must be stopped first"
                )
            taken.add(route.address)

    def _open_sides(self, routes: tuple[EndpointRoute, ...]) -> list[Side]:
        """Open all of these, or none."""
        sides: list[Side] = []
        for route in routes:
            try:
                sides.append(self._side(route, self._files.open(route)))
            except OSError as error:
                self._close_sides(sides)
                raise GadgetipError(
                    f"endpoint 0x{route.address:02x} (interface {route.interface}, alternate "
                    f"setting {route.alternate}) cannot be opened: {error.strerror or error}"
                ) from error
        return sides

    def _close_files(self, shapers: Collection[Shaper]) -> None:
        self._close_sides([side for shaper in shapers for side in shaper.sides])

    def _close_sides(self, sides: Collection[Side]) -> None:
        for side in sides:
            side.replica.close()
            try:
                self._files.close(side.route, side.replica.file)
            except OSError as error:  # it is not used any more, whatever the kernel thinks of it
                log.warning("closing endpoint 0x%02x: %s", side.route.address, error)

    @abstractmethod
    def _replica_endpoint(self, route: EndpointRoute, file: int) -> EndpointRequests:
        """The replica's end of an endpoint, whose file is open."""

    def _side(self, route: EndpointRoute, file: int) -> Side:
        return Side(
            route,
            RemoteEndpoint(self._urbs, route, control_limit_s=self._control_limit_s),
            self._replica_endpoint(route, file),
            self._statistics.setdefault(route.address, EndpointStatistics()),
        )

    def _link_ended(self, reason: GadgetipError) -> None:
        self._listener.link_ended(str(reason))


_SINGLE: dict[tuple[bool, Direction], Callable[[Side, ShaperContext], Shaper]] = {
    (False, Direction.IN): PacketInShaper,
    (False, Direction.OUT): PacketOutShaper,
    (True, Direction.IN): ShortInShaper,
    (True, Direction.OUT): ShortOutShaper,
}
"""Shapers of one endpoint, by whether its transfers end with short packets."""


def _make_shapers(sides: list[Side], context: ShaperContext) -> list[Shaper]:
    """One shaper for each endpoint, or for those of an interface that belong together."""
    shapers: list[Shaper] = []
    pairs: dict[int, dict[Direction, Side]] = {}
    pipes: dict[int, list[Side]] = {}
    for side in sides:
        route = side.route
        if route.shaping is Shaping.BOT:
            pairs.setdefault(route.interface, {})[route.direction] = side
        elif route.shaping is Shaping.UAS:
            pipes.setdefault(route.interface, []).append(side)
        else:
            make = _SINGLE[route.shaping is Shaping.SHORT, route.direction]
            shapers.append(make(side, context))
    for interface, pair in pairs.items():
        if len(pair) != len(Direction):
            raise LocalProtocolError(f"interface {interface} has no endpoint each way for bot")
        shapers.append(BotShaper(pair[Direction.OUT], pair[Direction.IN], context))
    shapers.extend(UasShaper(four, context) for four in pipes.values())
    return shapers
