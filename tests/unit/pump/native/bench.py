"""Either pump between a server over TCP and a host behind sockets, without a kernel's gadget.

The native pump carries the requests of GadgetFS on threads that read and write, which works on any
file. So an endpoint file here is one end of a `SOCK_SEQPACKET` pair: one message is the data of
one request, an empty message a zero-length packet, and the host has the other end. The Python pump
has the same kind of thread. What such a socket cannot show is a halt: it is noted where it is
asked for.

The `Server` is a device whose answers a test gives one by one (`give`), or leaves to it (OUT data,
control requests, unlinks). Both log what they see. Every wait is for an event, with a limit.
"""

import asyncio
import errno
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from gadgetip.pump import EndpointRoute, UrbStream, endpoint_requests
from gadgetip.pump.choosing import PumpChoice, pump_for, stream_for
from gadgetip.pump.endpoint_requests import EndpointRequests
from gadgetip.pump.file_kind import FileKind
from gadgetip.pump.native_module import native_module, why_not
from gadgetip.pump.native_urbs import NativeUrbStream
from gadgetip.pump.shaper_pump import ShaperPump
from gadgetip.wire import (
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    Direction,
    RetSubmit,
)
from tests.unit.pump.stub import DEVID, LIMIT_S, Stub, ret, ret_unlink, tcp_pair

UNLINKED = -errno.ECONNRESET
LARGEST_MESSAGE = 64 * 1024
POLL_S = 0.001

needs_native = pytest.mark.skipif(
    native_module() is None, reason=f"the native pump {why_not()}: make native"
)


class Which(StrEnum):
    """The pump under test."""

    PYTHON = "python"
    NATIVE = "native"


both = pytest.mark.parametrize(
    "which", [Which.PYTHON, pytest.param(Which.NATIVE, marks=needs_native)]
)


class Late(StrEnum):
    """How the server answers the unlink of a URB that waits."""

    NEVER = "unlinked"
    BEHIND = "RET_UNLINK 0, then RET_SUBMIT"
    BEFORE = "RET_SUBMIT, then RET_UNLINK 0"


class Pulse:
    """Wakes whoever waits for a condition, whenever something has happened."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def happened(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], object], what: str = "it") -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                while not condition():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            raise AssertionError(f"waited in vain for: {what}") from None


@dataclass
class Server:
    """The device and its server. Endpoints are known by bEndpointAddress."""

    pulse: Pulse
    stub: Stub
    log: list[CmdSubmit | CmdUnlink] = field(default_factory=list)
    waiting: dict[int, deque[CmdSubmit]] = field(default_factory=lambda: defaultdict(deque))
    """URBs without an answer, by address, oldest first."""
    deepest: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    held: set[int] = field(default_factory=set)
    """OUT endpoints whose URBs are not answered by themselves."""
    refusals: dict[int, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    """The statuses of the next URBs of an OUT endpoint; 0 where there is none."""
    late: Late = Late.NEVER
    late_data: bytes = b""
    halted: set[int] = field(default_factory=set)
    """IN endpoints that say nothing before their halt is cleared, not even an empty packet: their
    URBs are unlinked, however late others are answered."""
    deaf: bool = False
    """Whether it leaves everything unanswered."""
    mute: bool = False
    """Whether the RET_SUBMIT behind a RET_UNLINK stays away, which is legal too."""
    unlinked: int = 0
    seqnums: set[int] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)
    """Seqnums that came twice over this connection."""
    closed: bool = False
    on_out: Callable[[CmdSubmit], bool] = lambda _: False
    """Asked first about each OUT URB; True where it has seen to the answer."""
    on_control: Callable[[bytes], None] = lambda _: None
    on_in: Callable[[int], None] = lambda _: None

    async def run(self) -> None:
        with suppress(OSError):
            while not isinstance(message := await self._next(), ConnectionClosed):
                assert isinstance(message, CmdSubmit | CmdUnlink)
                self.log.append(message)
                if message.seqnum in self.seqnums:
                    self.repeated.add(message.seqnum)
                self.seqnums.add(message.seqnum)
                if self.deaf:
                    continue
                if isinstance(message, CmdUnlink):
                    await self._unlink(message)
                elif message.ep == 0:
                    self.on_control(message.setup)
                    await self.stub.answer(message, bytes(message.transfer_buffer_length))
                elif message.direction is Direction.IN:
                    self._waits(message.ep | 0x80, message)
                    self.on_in(message.ep | 0x80)
                else:
                    await self._take(message)
                self.pulse.happened()
        self.closed = True
        self.pulse.happened()

    async def _next(self) -> Any:
        # A device that waits for its host waits for ever: only a test's own waits have limits.
        while True:
            try:
                return await self.stub.next()
            except TimeoutError:
                continue

    def _waits(self, address: int, submit: CmdSubmit) -> None:
        self.waiting[address].append(submit)
        self.deepest[address] = max(self.deepest[address], len(self.waiting[address]))

    async def _take(self, submit: CmdSubmit) -> None:
        if self.on_out(submit):
            return
        if submit.ep in self.held:
            self._waits(submit.ep, submit)
            return
        statuses = self.refusals[submit.ep]
        await self.stub.answer(submit, status=statuses.popleft() if statuses else 0)

    async def _unlink(self, unlink: CmdUnlink) -> None:
        self.unlinked += 1
        for address, queue in self.waiting.items():
            for submit in queue:
                if submit.seqnum != unlink.unlink_seqnum:
                    continue
                queue.remove(submit)
                data = self.late_data if address & 0x80 else b""
                if self.late is Late.NEVER or address in self.halted:
                    await self.stub.send(ret_unlink(unlink, UNLINKED))
                elif self.late is Late.BEHIND:
                    late = () if self.mute else (ret(submit, data),)
                    await self.stub.send(ret_unlink(unlink, 0), *late)
                else:
                    await self.stub.send(ret(submit, data), ret_unlink(unlink, 0))
                return
        await self.stub.send(ret_unlink(unlink, 0))

    async def asked(self, address: int, count: int = 1) -> None:
        """Wait until so many URBs wait there."""
        await self.pulse.until(
            lambda: len(self.waiting[address]) >= count, f"{count} URBs at 0x{address:02x}"
        )

    async def give(self, address: int, *answers: tuple[bytes, int]) -> None:
        """Answer the URBs that have waited longest, as many at once as are there."""
        left = deque(answers)
        while left:
            await self.asked(address)
            burst: list[RetSubmit] = []
            while left and self.waiting[address]:
                data, status = left.popleft()
                burst.append(ret(self.waiting[address].popleft(), data, status))
            await self.stub.send(*burst)

    def submits(self, address: int) -> list[CmdSubmit]:
        direction = Direction.IN if address & 0x80 else Direction.OUT
        return [
            each
            for each in self.log
            if isinstance(each, CmdSubmit) and each.ep == address & 15 and each.ep
            if each.direction is direction
        ]

    def controls(self) -> list[bytes]:
        return [each.setup for each in self.log if isinstance(each, CmdSubmit) and not each.ep]


class Host:
    """The host's ends of the endpoint files, each opened for as long as the pump has it."""

    def __init__(self, pulse: Pulse, buffer_bytes: int | None = None) -> None:
        self.pulse = pulse
        self.got: dict[int, list[bytes]] = defaultdict(list)
        """What the host fetched from each IN endpoint, message by message."""
        self.asleep = False
        self.halts: list[int] = []
        self._buffer_bytes = buffer_bytes
        self._open: dict[int, tuple[int, socket.socket, socket.socket]] = {}

    def open(self, route: EndpointRoute) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if self._buffer_bytes is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        theirs.setblocking(False)
        self._open[ours.fileno()] = (route.address, ours, theirs)
        if route.address & 0x80 and not self.asleep:
            asyncio.get_running_loop().add_reader(theirs, self._fetch, route.address, theirs)
        return ours.fileno()

    def close(self, route: EndpointRoute, file: int) -> None:
        address, ours, theirs = self._open.pop(file)
        assert address == route.address
        asyncio.get_running_loop().remove_reader(theirs)
        if address & 0x80:
            self._fetch(address, theirs)
        ours.close()
        theirs.close()

    def close_all(self) -> None:
        for file in list(self._open):
            _, ours, theirs = self._open.pop(file)
            asyncio.get_running_loop().remove_reader(theirs)
            ours.close()
            theirs.close()

    def wake(self) -> None:
        """Fetch from now on."""
        self.asleep = False
        for address, _, theirs in self._open.values():
            if address & 0x80:
                asyncio.get_running_loop().add_reader(theirs, self._fetch, address, theirs)

    def address_of(self, file: int) -> int:
        return self._open[file][0]

    def fill(self, address: int) -> None:
        """Leave no room for a write on an IN endpoint: the next one waits until it is cancelled."""
        ours = next(ours for each, ours, _ in self._open.values() if each == address)
        with suppress(BlockingIOError):
            while True:
                ours.send(bytes(LARGEST_MESSAGE), socket.MSG_DONTWAIT)

    async def send(self, address: int, *messages: bytes) -> None:
        """Send messages on an OUT endpoint."""
        theirs = next(theirs for each, _, theirs in self._open.values() if each == address)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT_S):
            for message in messages:
                if message:
                    await loop.sock_sendall(theirs, message)
                else:
                    theirs.send(b"")

    async def has(self, address: int, count: int) -> None:
        """Wait until the host has got so many bytes there since the beginning."""
        await self.pulse.until(
            lambda: sum(map(len, self.got[address])) >= count, f"{count} bytes at 0x{address:02x}"
        )

    def _fetch(self, address: int, theirs: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                self.got[address].append(theirs.recv(LARGEST_MESSAGE))
        self.pulse.happened()


@dataclass
class Listener:
    """What the pump tells."""

    pulse: Pulse
    told: list[str] = field(default_factory=list)

    def link_ended(self, reason: str) -> None:
        self._tell(f"link ended: {reason}")

    def device_gone(self) -> None:
        self._tell("device gone")

    def noticed(self, text: str) -> None:
        self._tell(text)

    def _tell(self, text: str) -> None:
        self.told.append(text)
        self.pulse.happened()


@dataclass
class Bench:
    which: Which
    pump: ShaperPump
    urbs: UrbStream
    server: Server
    host: Host
    listener: Listener
    pulse: Pulse
    python_submits: list[int]
    """The endpoint numbers of the URBs that Python has submitted, but those of endpoint 0."""
    stubs: list[Stub] = field(default_factory=list)
    servers: list["asyncio.Task[None]"] = field(default_factory=list)

    async def until(self, condition: Callable[[], object], what: str = "it") -> None:
        """Wait for a condition of the pump's, which wakes nobody."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not condition():
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"waited in vain for: {what}") from None

    async def recovered(self) -> None:
        """Wait until no halt and no error is being settled."""
        await self.until(
            lambda: (
                not any(
                    shaper.recovering(side)
                    for shaper in self.pump._shapers
                    for side in shaper.sides
                )
            ),
            "recoveries",
        )

    def lane_share(self) -> int:
        """URBs that a lane has submitted: those that the server saw and Python did not send."""
        seen = sum(1 for each in self.server.log if isinstance(each, CmdSubmit) and each.ep)
        return seen - len(self.python_submits)

    async def lose_link(self) -> None:
        """The server ends the connection, and the pump knows."""
        # Not closed yet: the loop still waits for it, and its number would be used again.
        self.server.stub.stream.shutdown(socket.SHUT_RDWR)
        await self.until(lambda: self.urbs.ended is not None, "the end of the link")
        await self.pulse.until(lambda: self.server.closed, "the end of the server")
        self.server.stub.stream.close()

    async def relink(self) -> Server:
        """Go on over a new connection; the log of what the server saw goes on too."""
        ours, theirs = tcp_pair()
        before = self.server
        self.stubs.append(before.stub)
        self.server = Server(self.pulse, Stub(theirs), log=before.log)
        self.server.on_out, self.server.on_in = before.on_out, before.on_in
        self.server.on_control = before.on_control
        self.servers.append(asyncio.get_running_loop().create_task(self.server.run()))
        self.pump.relink(ours, DEVID, 1)
        return self.server


@contextmanager
def _pretending(host: Host) -> Iterator[None]:
    """Sockets pass for files of GadgetFS, and halts are noted in place of being made."""

    def halt(self: EndpointRequests) -> int:
        host.halts.append(host.address_of(self.file))
        host.pulse.happened()
        return errno.EBADMSG

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileKind, "of", classmethod(lambda _cls, _file: FileKind.GADGETFS))
        patch.setattr(endpoint_requests, "FIFO_S", 0.0)
        patch.setattr(EndpointRequests, "_try_to_halt", halt)
        yield


def _count_submits(urbs: UrbStream, counted: list[int]) -> None:
    submit = urbs.submit

    def counting(ep: int, *args: Any, **kwargs: Any) -> int:
        if ep:
            counted.append(ep)
        return submit(ep, *args, **kwargs)

    urbs.submit = counting  # type: ignore[method-assign]


@asynccontextmanager
async def running(
    which: Which,
    routes: Iterable[EndpointRoute],
    *,
    may_hold: bool = False,
    asleep: bool = False,
    buffer_bytes: int | None = None,
    send_buffer: int | None = None,
    prepare: Callable[[Server, Host], None] = lambda *_: None,
) -> AsyncIterator[Bench]:
    """A pump that runs these endpoints, its server and its host.

    A host that is `asleep` fetches nothing; `buffer_bytes` is what its socket holds for it,
    `send_buffer` what the link does.
    """
    ours, theirs = tcp_pair()
    if send_buffer is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    pulse = Pulse()
    server, host = Server(pulse, Stub(theirs)), Host(pulse, buffer_bytes)
    host.asleep = asleep
    prepare(server, host)
    plain = UrbStream(ours, ClientConnection.after_import(DEVID), DEVID)
    urbs = stream_for(PumpChoice(which.value), plain)
    assert isinstance(urbs, NativeUrbStream) is (which is Which.NATIVE)
    counted: list[int] = []
    _count_submits(urbs, counted)
    listener = Listener(pulse)
    with _pretending(host):
        pump = pump_for(urbs, host, listener, control_limit_s=LIMIT_S, may_hold=may_hold)
        pump.attach()
        bench = Bench(which, pump, urbs, server, host, listener, pulse, counted)
        bench.servers.append(asyncio.get_running_loop().create_task(server.run()))
        try:
            await pump.start(tuple(routes))
            yield bench
        finally:
            pump.close()
            host.close_all()
            for task in bench.servers:
                task.cancel()
            await asyncio.gather(*bench.servers, return_exceptions=True)
            for stub in (*bench.stubs, bench.server.stub):
                stub.stream.close()
