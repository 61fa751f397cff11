"""The pump as a whole: order between endpoint 0 and the data, resets, the end."""

import asyncio
import errno
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from gadgetip.errors import GadgetipError, LocalProtocolError
from gadgetip.pump import ControlTimeoutError, EndpointRoute, Shaping, python_pump
from gadgetip.pump.batch import Batch
from gadgetip.pump.python_pump import PythonPump
from gadgetip.usb import SetupPacket
from gadgetip.wire import CmdSubmit

from .shapers.storage import cbw
from .shapers.world import HostEnd, World, route
from .stub import LIMIT_S, Ends, linked, ret_unlink

BULK_ONLY_RESET = SetupPacket(0x21, 0xFF, 0, 0, 0)
SET_REPORT = SetupPacket(0x21, 0x09, 0x0200, 0, 2)


@dataclass
class Listener:
    told: list[str] = field(default_factory=list)

    def link_ended(self, reason: str) -> None:
        self.told.append(f"link ended: {reason}")

    def device_gone(self) -> None:
        self.told.append("device gone")

    def noticed(self, text: str) -> None:
        self.told.append(text)


class Files:
    """Endpoint files that are numbers, one for each opening, and who has them open."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hosts: dict[int, HostEnd] = {}
        """The host's end of each route that was opened last, by the device's address."""
        self.by_file: dict[int, HostEnd] = {}
        self.log: list[str] = []
        self.refused: set[int] = set()
        self._next = 100

    def open(self, route: EndpointRoute) -> int:
        if route.address in self.refused:
            raise OSError(errno.EBUSY, "Device or resource busy")
        self._next += 1
        host = HostEnd(self.world, route)
        host.file = self._next
        self.hosts[route.address] = self.by_file[self._next] = host
        self.log.append(f"open {route.address:02x}/{route.alternate}")
        return self._next

    def close(self, route: EndpointRoute, file: int) -> None:
        host = self.by_file.pop(file)
        assert host.route == route
        assert host.pending == 0, "closed with requests under way"
        self.log.append(f"close {route.address:02x}/{route.alternate}")


@dataclass
class Bench:
    pump: PythonPump
    ends: Ends
    world: World
    files: Files
    listener: Listener

    @property
    def hosts(self) -> dict[int, HostEnd]:
        return self.files.hosts

    async def put(self, address: int, packet: bytes) -> None:
        """The host sends a packet."""
        await self.hosts[address].put(packet)
        while self.world.step():
            pass

    async def stop_answering(self, interfaces: set[int] | None, unlinks: int) -> None:
        """Stop interfaces of the pump; the server takes this many URBs back."""
        stopping = asyncio.get_running_loop().create_task(self.pump.stop(interfaces))
        for _ in range(unlinks):
            unlink = await self.ends.stub.unlink()
            await self.ends.stub.send(ret_unlink(unlink, -errno.ECONNRESET))
        async with asyncio.timeout(LIMIT_S):
            while not stopping.done():
                self.world.step()
                await asyncio.sleep(0)


class _NoQueue:
    """Endpoint files without a kernel need no queue."""

    def __init__(self, capacity: int, batch: Batch) -> None:
        assert capacity > 0
        assert isinstance(batch, Batch)

    def attach(self) -> None:
        pass

    def close(self) -> None:
        pass


@asynccontextmanager
async def bench(
    monkeypatch: pytest.MonkeyPatch, *routes: EndpointRoute, may_hold: bool = False
) -> AsyncIterator[Bench]:
    world = World()
    files = Files(world)
    monkeypatch.setattr(python_pump, "RequestQueue", _NoQueue)
    monkeypatch.setattr(
        python_pump, "ReplicaEndpoint", lambda _queue, file, **_: files.by_file[file]
    )
    async with linked() as ends:
        listener = Listener()
        pump = PythonPump(ends.urbs, files, listener, control_limit_s=LIMIT_S, may_hold=may_hold)
        ends.urbs.detach()
        pump.attach()
        await pump.start(routes)
        yield Bench(pump, ends, world, files, listener)


def start(work: Coroutine[None, None, bytes]) -> "asyncio.Task[bytes]":
    return asyncio.get_running_loop().create_task(work)


async def done(task: "asyncio.Task[bytes]") -> bytes:
    async with asyncio.timeout(LIMIT_S):
        return await task


def test_a_request_that_changes_the_device_waits_for_the_data_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x02, window_urbs=2)) as it:
            await it.put(0x02, b"before")
            data = await it.ends.stub.submit()
            request = start(it.pump.control(SET_REPORT, b"ab"))
            question = start(it.pump.control(SetupPacket.get_descriptor(1)))
            # A request that changes nothing does not wait: it is the first to come.
            asked = await it.ends.stub.submit()
            assert asked.setup == SetupPacket.get_descriptor(1).pack()
            await it.ends.stub.answer(asked, b"x")
            assert await done(question) == b"x"
            await it.ends.stub.answer(data)
            changed = await it.ends.stub.submit()
            assert changed.setup == SET_REPORT.pack()
            await it.ends.stub.answer(changed)
            assert await done(request) == b""

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "setup",
    [
        SetupPacket(0xC0, 0x05, 0, 0, 2),
        SetupPacket(0xA1, 0x05, 0, 0, 2),
        SetupPacket(0x00, 0x01, 1, 0, 0),
    ],
    ids=str,
)
def test_a_question_or_a_change_waits_for_the_data_before_it(
    monkeypatch: pytest.MonkeyPatch, setup: SetupPacket
) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x02, window_urbs=2)) as it:
            await it.put(0x02, b"before")
            data = await it.ends.stub.submit()
            request = start(it.pump.control(setup))
            await it.ends.stub.answer(data)
            asked = await it.ends.stub.submit()
            assert asked.setup == setup.pack()
            assert it.pump.statistics[0x02].moved == len(b"before")
            await it.ends.stub.answer(asked, b"ok" if setup.wLength else b"")
            await done(request)

    asyncio.run(scenario())


def test_the_wait_for_data_is_part_of_the_limit_of_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host has one limit for both: half of it at most is spent before the device is asked."""

    async def scenario() -> None:
        async with bench(monkeypatch, route(0x02, window_urbs=2)) as it:
            it.pump._control_limit_s = 1.0
            await it.put(0x02, b"never taken")
            await it.ends.stub.submit()
            loop = asyncio.get_running_loop()
            before = loop.time()
            request = start(it.pump.control(SET_REPORT, b"ab"))
            asked = await it.ends.stub.submit()
            assert asked.setup == SET_REPORT.pack()
            assert 0.4 < loop.time() - before < 0.95
            unlink = await it.ends.stub.unlink()
            assert unlink.unlink_seqnum == asked.seqnum
            assert 0.9 < loop.time() - before < 3
            await it.ends.stub.send(ret_unlink(unlink, -errno.ECONNRESET))
            with pytest.raises(ControlTimeoutError):
                await done(request)

    asyncio.run(scenario())


def test_what_cancels_goes_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x02, window_urbs=2)) as it:
            await it.put(0x02, b"never taken")
            await it.ends.stub.submit()
            request = start(it.pump.control(SetupPacket.clear_halt(0x02)))
            asked = await it.ends.stub.submit()
            assert asked.setup == SetupPacket.clear_halt(0x02).pack()
            await it.ends.stub.answer(asked)
            await done(request)

    asyncio.run(scenario())


def test_the_fence_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x02)) as it:
            await it.put(0x02, b"12345")
            await it.ends.stub.submit()
            assert await it.pump.fence(0.01) == 5
            assert await it.pump.finish(0.01) == 5

    asyncio.run(scenario())


def test_a_bulk_only_reset_takes_back_goes_out_and_starts_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        ways = [route(address, shaping=Shaping.BOT) for address in (0x81, 0x02)]
        async with bench(monkeypatch, *ways) as it:
            await it.put(0x02, cbw(1, 512))
            sent = [await it.ends.stub.submit() for _ in range(4)]
            assert [s.ep for s in sent] == [2, 1, 1, 1]
            reset = start(it.pump.control(BULK_ONLY_RESET))
            unlinked: set[int] = set()
            while len(unlinked) < 4:
                while it.world.step():
                    pass
                unlink = await it.ends.stub.unlink()
                unlinked.add(unlink.unlink_seqnum)
                await it.ends.stub.send(ret_unlink(unlink, -errno.ECONNRESET))
            assert unlinked == {s.seqnum for s in sent}
            request = await it.ends.stub.submit()
            assert request.setup == BULK_ONLY_RESET.pack()
            assert it.hosts[0x02].pending == 0  # no CBW before the device is ready for one
            await it.ends.stub.answer(request)
            cleared = []
            for _ in range(2):  # the host's own requests for that never reach user space
                clear = await it.ends.stub.submit()
                cleared.append(clear.setup)
                await it.ends.stub.answer(clear)
            assert cleared == [SetupPacket.clear_halt(a).pack() for a in (0x02, 0x81)]
            await done(reset)
            await it.put(0x02, cbw(2, 0))
            again = await it.ends.stub.submit()
            assert again.data == cbw(2, 0)

    asyncio.run(scenario())


def test_a_link_that_ends_is_told_once_and_is_no_device_that_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        ways = [route(0x81), route(0x02), route(0x83, shaping=Shaping.INTERRUPT)]
        async with bench(monkeypatch, *ways) as it:
            await it.put(0x02, b"on its way")
            for _ in range(8 + 8 + 1):
                assert isinstance(await it.ends.stub.next(), CmdSubmit)
            it.ends.stub.stream.close()
            async with asyncio.timeout(LIMIT_S):
                while not it.listener.told:
                    await asyncio.sleep(0)
            assert it.listener.told == ["link ended: the server closed the connection"]
            stopping = asyncio.get_running_loop().create_task(it.pump.stop())
            while not stopping.done():
                it.world.step()
                await asyncio.sleep(0)
            assert it.pump.statistics[0x02].discarded == len(b"on its way")
            assert it.listener.told == ["link ended: the server closed the connection"]

    asyncio.run(scenario())


def test_a_device_that_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x81, window_urbs=1)) as it:
            await it.ends.stub.answer(await it.ends.stub.submit(), status=-errno.ESHUTDOWN)
            async with asyncio.timeout(LIMIT_S):
                while not it.listener.told:
                    await asyncio.sleep(0)
            assert it.listener.told == ["device gone"]

    asyncio.run(scenario())


def test_what_runs_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        way = route(0x81, window_urbs=2)
        async with bench(monkeypatch, way) as it:
            first = [await it.ends.stub.submit() for _ in range(2)]
            with pytest.raises(LocalProtocolError, match="endpoint 0x81 runs already"):
                await it.pump.start((way,))
            await it.stop_answering(None, 2)
            await it.pump.start((way,))
            second = [await it.ends.stub.submit() for _ in range(2)]
            assert {s.seqnum for s in first}.isdisjoint(s.seqnum for s in second)
            assert it.files.log == ["open 81/0", "close 81/0", "open 81/0"]

    asyncio.run(scenario())


def test_a_setting_changes_while_the_other_interface_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        other = route(0x83, window_urbs=1, interface=1)
        first = route(0x81, window_urbs=1)
        async with bench(monkeypatch, first, other) as it:
            mine, theirs = [await it.ends.stub.submit() for _ in range(2)]
            assert (mine.ep, theirs.ep) == (1, 3)
            await it.ends.stub.answer(mine, b"before")
            assert await it.hosts[0x81].get() == b"before"
            while it.world.step():
                pass
            assert (await it.ends.stub.submit()).ep == 1
            await it.stop_answering({0}, 1)
            await it.pump.start((replace(first, alternate=1),))
            assert (await it.ends.stub.submit()).ep == 1
            assert it.files.log == ["open 81/0", "open 83/0", "close 81/0", "open 81/1"]
            # The other interface's URB is the one from the beginning.
            await it.ends.stub.answer(theirs, b"still")
            assert await it.hosts[0x83].get() == b"still"
            assert it.pump.statistics[0x81].moved == len(b"before")

    asyncio.run(scenario())


def test_where_one_cannot_be_opened_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with bench(monkeypatch, route(0x81, window_urbs=1)) as it:
            it.files.refused.add(0x03)
            with pytest.raises(GadgetipError, match=r"endpoint 0x03 .* cannot be opened: Device"):
                await it.pump.start((route(0x82), route(0x03)))
            assert it.files.log == ["open 81/0", "open 82/0", "close 82/0"]
            assert list(it.files.by_file.values()) == [it.hosts[0x81]]
            it.pump.close()
            assert it.files.by_file == {}

    asyncio.run(scenario())
