"""The shelter: the memory of a process that is killed outlives it, for a moment and no longer."""

import os
import select
import signal
import time
from pathlib import Path

import pytest

from gadgetip.pump.native_module import native_module

LIMIT_S = 10.0

pytestmark = pytest.mark.skipif(native_module() is None, reason="the native pump is not built")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def files_when_few(pid: int) -> int:
    """How many files it has open, once it has come to closing them: it starts with all of them."""
    limit = time.monotonic() + LIMIT_S
    while (count := len(list(Path(f"/proc/{pid}/fd").iterdir()))) > 1 and time.monotonic() < limit:
        time.sleep(0.01)
    return count


def test_it_ends_behind_a_process_that_is_killed() -> None:
    module = native_module()
    assert module is not None
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        module.shelter()
        os.write(told, b".")
        time.sleep(LIMIT_S)
        os._exit(0)
    os.close(told)
    assert os.read(ready, 1) == b"."
    [shelter] = children(pid)
    watched = os.pidfd_open(shelter)
    files = files_when_few(shelter)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    ended_at_once, _, _ = select.select([watched], [], [], 0)
    ended, _, _ = select.select([watched], [], [], LIMIT_S)
    os.close(watched)
    os.close(ready)
    assert not ended_at_once
    assert ended
    assert files == 1, "it keeps no file of the process but the one that tells of its end"
