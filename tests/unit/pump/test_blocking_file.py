"""Requests on a thread, over a socket: it waits as an endpoint file of GadgetFS does."""

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator

import pytest

from gadgetip.pump.batch import Batch
from gadgetip.pump.file_kind import FileKind
from gadgetip.pump.replica_endpoint import ReplicaEndpoint
from gadgetip.pump.request_queue import RequestQueue

LIMIT_S = 10.0
SIZE = 64


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Datagrams have ends, as packets do."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def endpoint(ours: socket.socket, *, is_in: bool) -> ReplicaEndpoint:
    queue = RequestQueue(1, Batch())
    queue.attach()
    return ReplicaEndpoint(queue, ours.fileno(), is_in=is_in, kind=FileKind.GADGETFS)


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("endpoint ")]


def test_reads_wait_and_come_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        ours, theirs = ends
        replica = endpoint(ours, is_in=False)
        got: list[tuple[int, bytes]] = []
        for _ in range(3):
            replica.read(SIZE, lambda error, data: got.append((error, bytes(data))))
        assert replica.pending == 3
        for packet in (b"one", b"two" * 20, b"three"):
            theirs.send(packet)
        async with asyncio.timeout(LIMIT_S):
            await replica.drained()
        assert got == [(0, b"one"), (0, b"two" * 20), (0, b"three")]
        assert replica.pending == 0
        replica.close()
        assert threads() == []

    asyncio.run(scenario())


def test_what_waits_is_taken_back_and_the_file_goes_on(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    async def scenario() -> None:
        ours, theirs = ends
        replica = endpoint(ours, is_in=False)
        got: list[tuple[int, bytes]] = []
        for _ in range(20):
            for _ in range(4):
                replica.read(SIZE, lambda error, data: got.append((error, bytes(data))))
            async with asyncio.timeout(LIMIT_S):
                await replica.cancel_all()
            assert got == [(-errno.ECONNRESET, b"")] * 4
            got.clear()
            replica.read(SIZE, lambda error, data: got.append((error, bytes(data))))
            theirs.send(b"still there")
            async with asyncio.timeout(LIMIT_S):
                await replica.drained()
            assert got == [(0, b"still there")]
            got.clear()
        await replica.cancel_all()
        replica.close()

    asyncio.run(scenario())


def test_writes_of_any_size(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        ours, theirs = ends
        replica = endpoint(ours, is_in=True)
        done: list[int] = []
        for data in (b"abc", bytearray(b"x" * 1000), memoryview(b"y")):
            replica.write(data, done.append)
        async with asyncio.timeout(LIMIT_S):
            await replica.drained()
        assert done == [0, 0, 0]
        assert [theirs.recv(2000) for _ in range(3)] == [b"abc", b"x" * 1000, b"y"]
        replica.close()

    asyncio.run(scenario())


def test_an_error_is_a_result(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        ours, theirs = ends
        theirs.close()
        replica = endpoint(ours, is_in=True)
        done: list[int] = []
        replica.write(b"abc", done.append)
        async with asyncio.timeout(LIMIT_S):
            await replica.drained()
        assert done == [-errno.EPIPE]
        replica.close()

    asyncio.run(scenario())


def test_closing_ends_what_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    async def scenario() -> None:
        replica = endpoint(ends[0], is_in=False)
        for _ in range(3):
            replica.read(SIZE, lambda _error, _data: None)
        replica.close()
        assert threads() == []

    asyncio.run(scenario())
