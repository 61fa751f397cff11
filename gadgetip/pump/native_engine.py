"""The engine of the native pump, seen from Python: events to callbacks.

`gadgetip.pump._native.Engine` moves what a lane carries without Python; this is the rest. URBs and
requests that are Python's own are submitted here, and what becomes of them arrives on the event
loop as it does with the Python pump. So do the three things that an engine cannot settle: a lane
has parked, the stream has ended, a request is Python's now.
"""

import asyncio
import os
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType

from gadgetip.errors import GadgetipError, LinkLostError, RemoteProtocolError
from gadgetip.pump.batch import Batch
from gadgetip.pump.link_errors import link_error

OnResult = Callable[[int, bytes], None]
OnReturned = Callable[[int, int, int, bytes], None]


class EventKind(IntEnum):
    """What an event tells (native/engine.h, `event_kind`)."""

    RETURNED = 0
    COMPLETED = 1
    PARKED = 2
    ENDED = 3


class Ending(IntEnum):
    """Why a stream ended (native/engine.h, `ending`)."""

    EOF = 0
    ERRNO = 1
    PROTOCOL = 2


class NativeEngine:
    """One engine, its events handed out on the running loop.

    `on_returned` gets a URB's seqnum, status, actual_length and data; `on_parked` the number of a
    lane; `on_ended` why the stream ended. Raises OSError where the kernel refuses what it takes.
    """

    def __init__(
        self, module: ModuleType, stream: int, devid: int, next_seqnum: int, batch: Batch
    ) -> None:
        self.core = module.Engine(stream, devid, next_seqnum)
        self._batch = batch
        self.is_closed = False
        self._requests: dict[int, OnResult] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_returned: OnReturned = lambda *_: None
        self.on_parked: Callable[[int], None] = lambda _: None
        self.on_ended: Callable[[GadgetipError], None] = lambda _: None

    def attach(self) -> None:
        """Hand events out on the running event loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self.core.fileno(), self.hand_out)

    def close(self) -> None:
        """End the thread, cancel what is queued on the endpoint files and wait for it."""
        if self._loop is not None:
            self._loop.remove_reader(self.core.fileno())
            self._loop = None
        self.is_closed = True
        self.core.close()

    @property
    def references(self) -> int:
        """References to this process's memory that some kernels have kept (`request_queue`)."""
        return int(self.core.numbers()[2])

    def flush_soon(self) -> None:
        """Let what was submitted leave with the end of this turn."""
        if self._loop is not None:
            self._batch.defer(self._flush)

    def _flush(self) -> None:
        if not self.is_closed:  # it may have been, since this was asked for
            self.core.flush()

    def request(self, number: int, size: int, data: bytes | bytearray, on_result: OnResult) -> int:
        """Queue a read of `size` bytes, or a write of `data`; returns the request's number."""
        if self.is_closed:
            return 0  # nobody will hear of it
        request: int = self.core.request(number, size, data)
        self._requests[request] = on_result
        self.flush_soon()
        return request

    def adopt(self, request: int, on_result: OnResult) -> None:
        """Be told what becomes of a request that was a lane's."""
        self._requests[request] = on_result

    def hand_out(self) -> None:
        """Give every event that is there to whom it concerns."""
        with self._batch:
            while self._loop is not None and (events := self.core.events()):
                for kind, subject, status, moved, data in events:
                    if kind == EventKind.RETURNED:
                        self.on_returned(subject, status, moved, data)
                    elif kind == EventKind.COMPLETED:
                        self._requests.pop(subject)(status, data)
                    elif kind == EventKind.PARKED:
                        self.on_parked(subject)
                    else:
                        self.on_ended(_reason(subject, status, data))


def _reason(ending: int, error: int, text: bytes) -> GadgetipError:
    if ending == Ending.PROTOCOL:
        return RemoteProtocolError(text.decode())
    if ending == Ending.EOF:
        return LinkLostError("the server closed the connection")
    return link_error(OSError(error, os.strerror(error)))
