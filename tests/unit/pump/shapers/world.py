"""A device, a server, a board and a host, without any of them.

Both ends of an endpoint follow the contract of the real ones. `RemoteEnd` is a `RemoteEndpoint`
whose URBs travel over a link that keeps their order to a device that speaks in packets; a URB is
over with a short packet or when it is full, a stall stays until it is cleared, an unlink may cross
its answer. `HostEnd` is a `ReplicaEndpoint` whose requests a host fills or empties by packets.

What may happen next is a set of queues. `World` takes the next step out of one of them, in an
order that a test chooses or hypothesis draws, and knows when nothing can happen any more: then
whoever still waits hangs, which is the failure that these tests look for.

The link may end: what was under way comes back cancelled, in the order in which it was sent, and
what is sent from then on comes back at once (`World.lose_link`), until `World.relink`.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random

from gadgetip.errors import LinkLostError
from gadgetip.pump import EndpointRoute, Pipe, Shaping
from gadgetip.pump.endpoint_requests import OnRead, OnWritten
from gadgetip.pump.remote_endpoint import OnOutcome, Outcome, RemoteEndpoint
from gadgetip.pump.replica_endpoint import ReplicaEndpoint
from gadgetip.pump.shapers import Shaper, ShaperContext, Side
from gadgetip.usb import Direction, TransferType
from gadgetip.wire import RetSubmit

IDLE_TURNS = 25
"""Turns of the event loop without a step after which nothing more will happen."""

TIMERS_S = 0.3
"""Longer than the longest timer of a shaper. The one of `uas` for stalls: see its tests."""

_STATUS = {
    Outcome.DONE: 0,
    Outcome.STALLED: -errno.EPIPE,
    Outcome.FAILED: -errno.EPROTO,
    Outcome.CANCELLED: -errno.ECONNRESET,
    Outcome.GONE: -errno.ESHUTDOWN,
}

Step = Callable[[], None]

LOST = RetSubmit(0, -errno.ECONNRESET, 0)


class HangError(AssertionError):
    """Nothing can happen any more, and somebody still waits."""


class StalledError(Exception):
    """The host met a halted endpoint; `data` is what it had got before."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(f"stalled after {len(data)} bytes")
        self.data = data


class World:
    """The queues of what may happen next, and who picks."""

    def __init__(self, seed: int | None = None) -> None:
        self.to_device: deque[Step] = deque()
        self.from_device: deque[Step] = deque()
        self.completions: deque[Step] = deque()
        self.movers: list[Callable[[], bool]] = []
        """What can move a packet by itself, and tells whether it did."""
        self.link_up = True
        """Whether what is on the link moves; a slow link, not a lost one."""
        self.losses = 0
        self.is_lost = False
        self.remotes: list[RemoteEnd] = []
        self.on_step: Callable[[], None] = lambda: None
        """Called before each step: what a test wants to happen in the middle."""
        self.may_hold = False
        self.notices: list[str] = []
        self.gone = 0
        self.serials = count()
        self._random = Random(seed) if seed is not None else None

    def context(self) -> ShaperContext:
        def device_gone() -> None:
            self.gone += 1

        return ShaperContext(self.notices.append, device_gone, self.may_hold)

    def lose_link(self, *shapers: Shaper) -> None:
        """The link ends, as `UrbStream` tells it: first the shapers, then who waits for a URB."""
        self.is_lost = True
        self.losses += 1
        for shaper in shapers:
            shaper.suspend()
        self.to_device.clear()
        self.from_device.clear()
        lost = [urb for remote in self.remotes for urb in remote.lose()]
        for urb in sorted(lost, key=lambda urb: urb.serial):
            urb.settled = True
            urb.on_outcome(Outcome.CANCELLED, LOST)

    def relink(self) -> None:
        """The device is there again."""
        self.is_lost = False

    def step(self) -> bool:
        """One step of one queue; False where nothing can happen."""
        self.on_step()
        queues = [self.completions]
        if self.link_up:
            queues += [self.from_device, self.to_device]
        choices: list[Callable[[], bool]] = [*(_taker(queue) for queue in queues), *self.movers]
        if self._random is not None:
            self._random.shuffle(choices)
        return any(choice() for choice in choices)

    async def until(self, condition: Callable[[], bool], what: str = "it") -> None:
        """Let things happen until `condition` holds; `HangError` where it never will.

        A shaper may have a timer for the case that nothing happens: it gets the time to ring.
        """
        idle = 0
        has_waited = False
        while not condition():
            if self._random is not None and self._random.random() < 0.3:
                await asyncio.sleep(0)
            if self.step():
                idle, has_waited = 0, False
            elif (idle := idle + 1) > IDLE_TURNS:
                if has_waited:
                    raise HangError(f"{what} never happens")
                await asyncio.sleep(TIMERS_S)
                idle, has_waited = 0, True
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let everything happen that can."""
        idle = 0
        while idle < IDLE_TURNS:
            idle = 0 if self.step() else idle + 1
            await asyncio.sleep(0)

    async def finish(self, task: "asyncio.Task[None]") -> None:
        """Let things happen until a task is done."""
        await self.until(task.done, "the end of a task")
        await task


def _taker(queue: deque[Step]) -> Callable[[], bool]:
    def take() -> bool:
        if not queue:
            return False
        queue.popleft()()
        return True

    return take


@dataclass(eq=False)
class _Urb:
    length: int
    data: bytes
    on_outcome: OnOutcome
    serial: int
    received: bytearray = field(default_factory=bytearray)
    sent: int = 0
    settled: bool = False


STALL = "stall"
FAIL = "fail"
LEAVE = "leave"
_ENDINGS = {STALL: Outcome.STALLED, FAIL: Outcome.FAILED, LEAVE: Outcome.GONE}

Word = bytes | str
"""What a device says on an IN endpoint: a packet, or one of the words above."""


class RemoteEnd(RemoteEndpoint):
    """The device's end of an endpoint, behind a link."""

    def __init__(self, world: World, route: EndpointRoute) -> None:
        self.route = route
        self.world = world
        self.words: deque[Word] = deque()
        """IN: what the device says next."""
        self.received: list[bytes] = []
        """OUT: the packets that the device has taken."""
        self.on_packet: Callable[[bytes], Word | None] = self._take
        """OUT: what the device does with a packet; a word of its own refuses it."""
        self.halted = False
        self.naks = False
        """Whether the device is busy: it neither takes nor gives packets."""
        self.cleared = 0
        self.most_in_flight = 0
        self._out_there: list[_Urb] = []
        self._queued: deque[_Urb] = deque()
        world.movers.append(self._move)
        world.remotes.append(self)

    # --- what the shaper sees ---------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        return len(self._out_there)

    def submit_in(self, length: int, on_outcome: OnOutcome) -> None:
        assert self.route.direction is Direction.IN
        assert length > 0
        self._submit_urb(_Urb(length, b"", on_outcome, next(self.world.serials)))

    def submit_out(self, data: bytes | memoryview, on_outcome: OnOutcome) -> None:
        assert self.route.direction is Direction.OUT
        serial = next(self.world.serials)
        self._submit_urb(_Urb(len(data), bytes(data), on_outcome, serial))

    async def unlink_all(self) -> None:
        asked = self._out_there[::-1]
        if not asked or self.world.is_lost:
            return
        for urb in asked:
            self.world.to_device.append(partial(self._unlink, urb))
        await _wait(lambda: all(urb.settled for urb in asked))

    async def clear_halt(self) -> None:
        done = asyncio.Event()
        losses = self.world.losses

        def clear() -> None:
            self.halted = False
            self.cleared += 1
            self.world.from_device.append(done.set)

        self.world.to_device.append(clear)
        await _wait(lambda: done.is_set() or self.world.is_lost or self.world.losses != losses)
        if not done.is_set():
            raise LinkLostError("the link was lost")

    # --- the link and the device ------------------------------------------------------------

    @property
    def queued(self) -> int:
        """URBs that wait at the device."""
        return len(self._queued)

    def oldest(self) -> int | None:
        """The serial number of the URB whose turn it is."""
        return self._queued[0].serial if self._queued else None

    def say(self, data: bytes, *, ended: bool = True) -> None:
        """Queue a transfer in packets; one that ends on a full packet gets a ZLP if `ended`."""
        size = self.route.device_max_packet
        self.words.extend(data[at : at + size] for at in range(0, len(data), size))
        if ended and len(data) % size == 0:
            self.words.append(b"")

    def lose(self) -> list[_Urb]:
        """The link is lost, and the device reset: what was under way."""
        lost, self._out_there = self._out_there, []
        self._queued.clear()
        self.words.clear()
        self.halted = False
        return lost

    def _take(self, packet: bytes) -> None:
        self.received.append(packet)

    def _submit_urb(self, urb: _Urb) -> None:
        if self.world.is_lost:
            urb.settled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(urb.on_outcome, Outcome.CANCELLED, LOST)
            return
        self._out_there.append(urb)
        self.most_in_flight = max(self.most_in_flight, len(self._out_there))
        self.world.to_device.append(lambda: self._queued.append(urb))

    def _unlink(self, urb: _Urb) -> None:
        if urb in self._queued:
            # As the kernel's stub: what a URB has got so far is lost with it.
            self._queued.remove(urb)
            urb.received.clear()
            self._return(urb, Outcome.CANCELLED)

    def _return(self, urb: _Urb, outcome: Outcome) -> None:
        data = bytes(urb.received)

        def deliver() -> None:
            self._out_there.remove(urb)
            urb.settled = True
            moved = len(data) if self.route.direction is Direction.IN else urb.sent
            urb.on_outcome(outcome, RetSubmit(0, _STATUS[outcome], moved, data=data))

        self.world.from_device.append(deliver)

    def _move(self) -> bool:
        if not self._queued or self.naks:
            return False
        if self.halted:
            self._return(self._queued.popleft(), Outcome.STALLED)
            return True
        if self.route.direction is Direction.IN:
            return self._send_word()
        return self._receive_packet()

    def _send_word(self) -> bool:
        if not self.words:
            return False
        word = self.words.popleft()
        urb = self._queued[0]
        if isinstance(word, str):
            self._end_with(word)
            return True
        if len(urb.received) + len(word) > urb.length:
            raise AssertionError(f"babble: {len(word)} bytes for a URB of {urb.length}")
        urb.received += word
        if len(word) < self.route.device_max_packet or len(urb.received) == urb.length:
            self._return(self._queued.popleft(), Outcome.DONE)
        return True

    def _receive_packet(self) -> bool:
        urb = self._queued[0]
        packet = urb.data[urb.sent : urb.sent + self.route.device_max_packet]
        if (word := self.on_packet(packet)) is not None:
            assert isinstance(word, str)
            self._end_with(word)
            return True
        urb.sent += len(packet)
        if urb.sent == len(urb.data):
            self._return(self._queued.popleft(), Outcome.DONE)
        return True

    def _end_with(self, word: str) -> None:
        self.halted = word == STALL
        self._return(self._queued.popleft(), _ENDINGS[word])


@dataclass(eq=False)
class _Request:
    data: bytearray
    on_done: Callable[[int], None]
    moved: int = 0


class HostEnd(ReplicaEndpoint):
    """The replica's end of an endpoint, with a host behind it that moves single packets."""

    def __init__(self, world: World, route: EndpointRoute) -> None:
        self.world = world
        self.route = route
        self.file = route.address
        self.is_in = route.direction is Direction.IN
        self.halted = False
        self.enabled = True
        self.most_pending = 0
        self.writes: list[int] = []
        """The size of each write there was."""
        self.errors: deque[int] = deque()
        """How the next requests end, without having moved anything; 0 is as it should."""
        self.hands_back = False
        """Whether a cleared halt ends the request under way, as dwc2 does."""
        self._requests: deque[_Request] = deque()
        self._unfinished = 0

    # --- what the shaper sees ---------------------------------------------------------------

    @property
    def pending(self) -> int:
        return self._unfinished

    def read(self, size: int, on_read: OnRead) -> None:
        assert not self.is_in
        assert size % self.route.host_max_packet == 0, "a read that is no whole number of packets"
        assert size > 0
        request = _Request(bytearray(size), lambda _: None)

        def done(error: int) -> None:
            on_read(error, memoryview(b"" if error else request.data)[: request.moved])

        request.on_done = done
        self._start_request(request)

    def write(self, data: bytes | bytearray | memoryview, on_written: OnWritten) -> None:
        assert self.is_in
        self.writes.append(len(data))
        self._start_request(_Request(bytearray(data), on_written))

    async def drained(self) -> None:
        await _wait(lambda: self._unfinished == 0)

    async def cancel_all(self) -> None:
        for request in list(self._requests):
            self._complete(request, -errno.ECONNRESET)
        await _wait(lambda: self._unfinished == 0)

    async def halt(self) -> None:
        await _wait(lambda: self._unfinished == 0)
        self.halted = True

    def close(self) -> None:
        assert self._unfinished == 0, "closed with requests under way"

    # --- the host ---------------------------------------------------------------------------

    def disable(self) -> None:
        """The host resets the replica: requests come back, new ones at once."""
        self.enabled = self.halted = False
        for request in list(self._requests):
            self._complete(request, -errno.ESHUTDOWN)

    def enable(self) -> None:
        """The host configures the replica."""
        self.enabled = True

    def clear(self) -> None:
        """The host clears the halt."""
        if self.halted and self.hands_back and self._requests:
            self._complete(self._requests[0], -errno.EINPROGRESS)
        self.halted = False

    async def get(self) -> bytes:
        """The host fetches one packet; waits while it is NAKed. Raises `StalledError`."""
        await self.world.until(lambda: self.halted or bool(self._requests), "a packet for the host")
        if self.halted:
            raise StalledError
        request = self._requests[0]
        packet = request.data[request.moved : request.moved + self.route.host_max_packet]
        request.moved += len(packet)
        if request.moved == len(request.data):
            self._complete(request, 0)
        return bytes(packet)

    async def receive(self, length: int) -> bytes:
        """The host reads a transfer of `length` bytes or less."""
        data = b""
        while len(data) < length:
            try:
                packet = await self.get()
            except StalledError:
                raise StalledError(data) from None
            data += packet
            assert len(data) <= length, f"babble at the host: {len(data)} bytes for {length}"
            if len(packet) < self.route.host_max_packet:
                break
        return data

    async def put(self, packet: bytes) -> None:
        """The host sends one packet; waits while it is NAKed. Raises `StalledError`."""
        await self.world.until(
            lambda: self.halted or bool(self._requests), "somebody who takes the host's packet"
        )
        if self.halted:
            raise StalledError
        request = self._requests[0]
        assert request.moved + len(packet) <= len(request.data)
        request.data[request.moved : request.moved + len(packet)] = packet
        request.moved += len(packet)
        if len(packet) < self.route.host_max_packet or request.moved == len(request.data):
            self._complete(request, 0)

    async def send(self, data: bytes) -> None:
        """The host sends a transfer, without a ZLP behind it; `StalledError` has what went."""
        size = self.route.host_max_packet
        for at in range(0, len(data), size):
            try:
                await self.put(data[at : at + size])
            except StalledError:
                raise StalledError(data[:at]) from None

    def _start_request(self, request: _Request) -> None:
        self._unfinished += 1
        self.most_pending = max(self.most_pending, self._unfinished)
        self._requests.append(request)
        error = self.errors.popleft() if self.errors else 0
        if not self.enabled or error:
            self._complete(request, error or -errno.ESHUTDOWN)

    def _complete(self, request: _Request, error: int) -> None:
        self._requests.remove(request)

        def deliver() -> None:
            self._unfinished -= 1
            request.on_done(error)

        self.world.completions.append(deliver)


async def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def route(
    address: int = 0x81,
    *,
    device_max_packet: int = 64,
    host_max_packet: int | None = None,
    shaping: Shaping = Shaping.PACKET,
    window_urbs: int = 8,
    transfer_bytes: int = 256,
    interface: int = 0,
    pipe: int = Pipe.NONE,
    read_ahead: bool = True,
) -> EndpointRoute:
    return EndpointRoute(
        address=address,
        host_address=address,
        interface=interface,
        transfer_type=TransferType.BULK,
        device_max_packet=device_max_packet,
        host_max_packet=host_max_packet or device_max_packet,
        shaping=shaping,
        window_urbs=window_urbs,
        transfer_bytes=transfer_bytes,
        pipe=pipe,
        read_ahead=read_ahead,
    )


@dataclass
class Line:
    """One endpoint from end to end."""

    device: RemoteEnd
    host: HostEnd
    side: Side

    @classmethod
    def make(cls, world: World, way: EndpointRoute) -> "Line":
        device, host = RemoteEnd(world, way), HostEnd(world, way)
        return cls(device, host, Side(way, device, host))


async def stop(world: World, shaper: Shaper) -> None:
    """Stop a shaper while everything goes on, and see that it has taken everything back."""
    await world.finish(asyncio.get_running_loop().create_task(shaper.stop()))
    assert [side.remote.in_flight for side in shaper.sides] == [0] * len(shaper.sides)
    assert [side.replica.pending for side in shaper.sides] == [0] * len(shaper.sides)
