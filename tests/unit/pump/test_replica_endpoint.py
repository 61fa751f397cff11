"""Requests through the kernel's AIO, on ordinary files: an endpoint's own behaviour needs one."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.pump.batch import Batch
from gadgetip.pump.replica_endpoint import ReplicaEndpoint
from gadgetip.pump.request_queue import EVENTS_A_TURN, RequestQueue

LIMIT_S = 10.0


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    number = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield number
    os.close(number)


def test_a_read_gives_what_there_is(file: int) -> None:
    async def scenario() -> None:
        queue = RequestQueue(8, Batch())
        queue.attach()
        replica = ReplicaEndpoint(queue, file, is_in=False)
        got: list[tuple[int, bytes]] = []
        replica.read(4, lambda error, data: got.append((error, bytes(data))))
        replica.read(64, lambda error, data: got.append((error, bytes(data))))
        assert replica.pending == 2
        async with asyncio.timeout(LIMIT_S):
            await replica.drained()
        assert sorted(got) == [(0, b"0123"), (0, b"0123456789")]
        assert replica.pending == 0
        queue.close()

    asyncio.run(scenario())


def test_a_write_takes_all_and_may_be_empty(file: int) -> None:
    async def scenario() -> None:
        queue = RequestQueue(8, Batch())
        queue.attach()
        replica = ReplicaEndpoint(queue, file, is_in=True)
        done: list[int] = []
        for data in (b"abc", bytearray(b"xy"), memoryview(b"")):
            replica.write(data, done.append)
            async with asyncio.timeout(LIMIT_S):
                await replica.drained()
        assert done == [0, 0, 0]
        assert os.pread(file, 64, 0) == b"xyc3456789"
        queue.close()

    asyncio.run(scenario())


def test_more_completions_at_once_than_are_taken_in_one_go(file: int) -> None:
    """As when the host resets: whatever is queued on every endpoint comes back together."""

    async def scenario() -> None:
        count = 3 * EVENTS_A_TURN + 7
        queue = RequestQueue(count, Batch())
        queue.attach()
        replica = ReplicaEndpoint(queue, file, is_in=False)
        done: list[int] = []
        for _ in range(count):
            replica.read(1, lambda error, data: done.append(len(data)))
        async with asyncio.timeout(LIMIT_S):
            await replica.drained()
        assert done == [1] * count
        queue.close()

    asyncio.run(scenario())


def test_a_completion_may_queue_the_next(file: int) -> None:
    async def scenario() -> None:
        queue = RequestQueue(2, Batch())
        queue.attach()
        replica = ReplicaEndpoint(queue, file, is_in=False)
        got: list[bytes] = []
        done = asyncio.Event()

        def again(error: int, data: memoryview) -> None:
            got.append(bytes(data))
            if len(got) < 5:
                replica.read(len(got) + 1, again)
            else:
                done.set()

        replica.read(1, again)
        async with asyncio.timeout(LIMIT_S):
            await done.wait()
        # Each has a buffer of its own: what was handed out stays as it was.
        assert got == [b"0123456789"[:n] for n in range(1, 6)]
        queue.close()

    asyncio.run(scenario())


def test_cancelling_what_has_completed_is_harmless(file: int) -> None:
    async def scenario() -> None:
        queue = RequestQueue(8, Batch())
        queue.attach()
        replica = ReplicaEndpoint(queue, file, is_in=False)
        done: list[int] = []
        for _ in range(4):
            replica.read(1, lambda error, data: done.append(error))
        async with asyncio.timeout(LIMIT_S):
            await replica.cancel_all()
        assert done == [0] * 4
        await replica.cancel_all()
        queue.close()

    asyncio.run(scenario())


def test_what_some_kernels_keep_is_counted(file: int) -> None:
    """A reference for each write, and for each read that brought nothing."""

    async def scenario() -> None:
        queue = RequestQueue(8, Batch())
        queue.attach()
        in_, out = (ReplicaEndpoint(queue, file, is_in=is_in) for is_in in (True, False))
        out.read(4, lambda *_: None)
        await out.drained()
        assert queue.references == 0
        for data in (b"abc", b""):
            in_.write(data, lambda _: None)
        await in_.drained()
        assert queue.references == 2
        os.ftruncate(file, 0)
        out.read(4, lambda *_: None)
        await out.drained()
        assert queue.references == 3
        queue.close()

    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario()

    asyncio.run(limited())
