"""The thread of a session, over a socketpair with a scripted device."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from gadgetip.server.userspace.carrier import DISCONNECTED, ENDED, UNPLUGGED, CarriedSession
from gadgetip.wire import NEED_DATA, ClientConnection, CmdSubmit, Direction, RetSubmit
from tests.unit.server.userspace.scripted import ScriptedDevice

DEVID = 0x10002
LIMIT_S = 60.0


class Carried:
    """A session, and the client's end of its stream."""

    def __init__(self) -> None:
        self.device = ScriptedDevice()
        self.stream, other = socket.socketpair()
        self.stream.setblocking(False)
        other.setblocking(False)
        self.session = CarriedSession(self.device, other, DEVID, "1-1")
        self.connection = ClientConnection.after_import(DEVID)
        self.loop = asyncio.get_running_loop()

    async def submit(self, seqnum: int, length: int, direction: Direction = Direction.IN) -> None:
        """Send a CMD_SUBMIT on endpoint 1 IN or 2 OUT."""
        ep = 1 if direction else 2
        data = b"" if direction else bytes(length)
        message = CmdSubmit(seqnum, DEVID, direction, ep, transfer_buffer_length=length, data=data)
        await self.loop.sock_sendall(self.stream, self.connection.send(message))

    async def pending(self, count: int) -> None:
        """Wait until the device has this many transfers."""
        while len(self.device.pending) < count:
            await asyncio.sleep(0.005)

    async def answer(self) -> RetSubmit:
        """The next answer."""
        while (message := self.connection.next_event()) is NEED_DATA:
            data = await self.loop.sock_recv(self.stream, 65536)
            assert data, "the stream has ended"
            self.connection.receive_data(data)
        assert isinstance(message, RetSubmit)
        return message


@contextlib.asynccontextmanager
async def carried() -> AsyncIterator[Carried]:
    """A session that has ended when the context does."""
    running = Carried()
    try:
        async with asyncio.timeout(LIMIT_S):
            yield running
            running.session.end()
            await running.session.wait()
    finally:
        running.stream.close()
        running.device.close()


def test_a_transfer_and_an_orderly_end() -> None:
    async def scenario() -> None:
        async with carried() as running:
            await running.submit(1, 300_000)
            await running.pending(1)
            running.device.complete(running.device.pending[0])
            assert (await running.answer()).actual_length == 300_000
            await running.submit(2, 200_000, Direction.OUT)
            await running.pending(1)
            assert len(running.device.pending[0].data) == 200_000
            await running.submit(3, 10)
            running.stream.shutdown(socket.SHUT_WR)
            assert await running.session.wait() == DISCONNECTED
            assert running.session.has_ended
            assert running.device.journal[-1] == "restore"
            assert not running.device.pending

    asyncio.run(scenario())


def test_asked_to_end() -> None:
    async def scenario() -> None:
        async with carried() as running:
            await running.submit(1, 64)
            await running.pending(1)
            running.session.end()
            assert await running.session.wait() == ENDED
            assert await running.loop.sock_recv(running.stream, 1) == b""
            assert running.device.journal[-1] == "restore"

    asyncio.run(scenario())


def test_unplugged() -> None:
    async def scenario() -> None:
        async with carried() as running:
            await running.submit(1, 64)
            await running.pending(1)
            running.device.unplug()
            assert await running.session.wait() == UNPLUGGED
            assert "restore" not in running.device.journal

    asyncio.run(scenario())


def test_garbage() -> None:
    async def scenario() -> None:
        async with carried() as running:
            await running.loop.sock_sendall(running.stream, bytes(range(96)))
            assert "broke the protocol" in await running.session.wait()
            assert running.device.journal[-1] == "restore"

    asyncio.run(scenario())


def test_a_client_that_does_not_read() -> None:
    """Its answers wait, it is not read on, and everything arrives once it reads."""

    async def scenario() -> None:
        size, count = 1 << 20, 12
        async with carried() as running:
            await running.submit(1, size)
            await running.pending(1)
            for seqnum in range(2, count + 2):
                await running.submit(seqnum, size)
            done = 0
            idle = 0
            while idle < 40:  # complete whatever is submitted, until nothing more is
                if running.device.pending:
                    running.device.complete(running.device.pending[0])
                    done += 1
                    idle = 0
                await asyncio.sleep(0.005)
                idle += 1
            answers: list[int] = []
            while len(answers) < count + 1:
                answers.append((await running.answer()).seqnum)
                while running.device.pending:
                    running.device.complete(running.device.pending[0])
            assert answers == list(range(1, count + 2))

    asyncio.run(scenario())


def test_a_dead_peer() -> None:
    async def scenario() -> None:
        async with carried() as running:
            await running.submit(1, 64)
            await running.pending(1)
            await running.submit(2, 1 << 20, Direction.OUT)
            running.stream.close()
            reason = await running.session.wait()
            assert reason == DISCONNECTED or "gone" in reason

    asyncio.run(scenario())


def test_a_bug_at_the_end() -> None:
    """The device is free all the same, and will be opened anew."""

    async def scenario() -> None:
        async with carried() as running:
            running.device.breaks = ValueError("of ours")
            running.session.end()
            assert "of ours" in await running.session.wait()
            assert running.session.has_ended
            assert running.device.is_lost
        await asyncio.sleep(0)

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(scenario())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_memory_is_waited_for() -> None:
    """Nothing tells when others leave some: it is tried again now and then."""

    async def scenario() -> None:
        async with carried() as running:
            running.device.refusals = [-errno.ENOMEM] * 3
            await running.submit(1, 64)
            await running.pending(1)
            running.device.complete(running.device.pending[0])
            assert (await running.answer()).status == 0

    asyncio.run(scenario())
