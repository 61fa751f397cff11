"""The command as a process runs it, without the process."""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from gadgetip.cli import main
from tests.unit.remote.server import Server, serving


@dataclass
class Run:
    status: int
    out: str
    err: str


class Command:
    """Runs `gadgetip` with some arguments, and takes back what that does to the interpreter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Run:
        self._monkeypatch.setattr(sys, "argv", ["gadgetip", *arguments])
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        captured = self._capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Run(int(end.value.code), captured.out, captured.err)


@contextmanager
def served(server: Server) -> Iterator[str]:
    """A server on a thread of its own, for commands that run an event loop; gives its HOST."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with serving(server):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield str(server.address)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        assert not thread.is_alive()
        loop.close()
