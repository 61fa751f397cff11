"""The pump as a whole: order between endpoint 0 and the data, resets, the end."""

import asyncio
import errno
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gadgetip.pump import EndpointRoute, PythonPump, Shaping, python_pump
from gadgetip.pump.batch import Batch
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


@dataclass
class Bench:
    pump: PythonPump
    ends: Ends
    world: World
    hosts: dict[int, HostEnd]
    listener: Listener

    async def put(self, address: int, packet: bytes) -> None:
        """The host sends a packet."""
        await self.hosts[address].put(packet)
        while self.world.step():
            pass


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
async def bench(monkeypatch: pytest.MonkeyPatch, *routes: EndpointRoute) -> AsyncIterator[Bench]:
    world = World()
    hosts = {way.address: HostEnd(world, way) for way in routes}
    monkeypatch.setattr(python_pump, "RequestQueue", _NoQueue)
    monkeypatch.setattr(python_pump, "ReplicaEndpoint", lambda _queue, file, *, is_in: hosts[file])
    async with linked() as ends:
        listener = Listener()
        files = {address: address for address in hosts}
        pump = PythonPump(ends.urbs, files, listener, control_limit_s=LIMIT_S)
        ends.urbs.detach()
        pump.attach()
        await pump.start(routes)
        yield Bench(pump, ends, world, hosts, listener)


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


def test_starting_twice_stops_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        way = route(0x81, window_urbs=2)
        async with bench(monkeypatch, way) as it:
            first = [await it.ends.stub.submit() for _ in range(2)]
            starting = asyncio.get_running_loop().create_task(it.pump.start((way,)))
            for _ in first:
                await it.ends.stub.send(ret_unlink(await it.ends.stub.unlink(), -errno.ECONNRESET))
            async with asyncio.timeout(LIMIT_S):
                await starting
            second = [await it.ends.stub.submit() for _ in range(2)]
            assert {s.seqnum for s in first}.isdisjoint(s.seqnum for s in second)

    asyncio.run(scenario())
