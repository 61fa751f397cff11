"""Whose a file is, and what follows from it: on ordinary files."""

import asyncio
import os
from pathlib import Path

import pytest

from gadgetip.pump import endpoint_requests
from gadgetip.pump.batch import Batch
from gadgetip.pump.endpoint_requests import FIFO_BYTES
from gadgetip.pump.file_kind import FileKind
from gadgetip.pump.replica_endpoint import ReplicaEndpoint
from gadgetip.pump.request_queue import RequestQueue

LIMIT_S = 10.0


def test_an_ordinary_file_is_nothing_special(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert FileKind.of(file.fileno()) is FileKind.FUNCTIONFS


def test_what_is_no_file() -> None:
    with pytest.raises(OSError, match="fstatfs"):
        FileKind.of(-1)


@pytest.mark.parametrize(
    ("kind", "size", "waits"),
    [
        (FileKind.GADGETFS, FIFO_BYTES, True),
        (FileKind.GADGETFS, FIFO_BYTES + 1, False),
        (FileKind.FUNCTIONFS, FIFO_BYTES, False),
    ],
)
def test_a_halt_behind_a_write_that_may_still_be_in_a_fifo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: FileKind, size: int, waits: bool
) -> None:
    monkeypatch.setattr(endpoint_requests, "FIFO_S", 0.3)

    async def scenario() -> float:
        queue = RequestQueue(8, Batch())
        queue.attach()
        number = os.open(tmp_path / "file", os.O_RDWR | os.O_NONBLOCK | os.O_CREAT)
        replica = ReplicaEndpoint(queue, number, is_in=True, kind=kind)
        done: list[int] = []
        replica.write(bytes(size), done.append)
        async with asyncio.timeout(LIMIT_S):
            await replica.drained()
        assert done == [0]
        loop = asyncio.get_running_loop()
        before = loop.time()
        await replica.halt()  # an ordinary file takes what would halt an endpoint
        replica.close()
        queue.close()
        os.close(number)
        return loop.time() - before

    assert (asyncio.run(scenario()) >= 0.25) is waits
