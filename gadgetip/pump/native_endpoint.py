"""One endpoint of the replica where the native pump's engine has its file.

What `endpoint_requests` says of endpoint files holds here too; the requests are the engine's, those
of GadgetFS on a thread of its own.
"""

import errno

from gadgetip.pump.endpoint_requests import EndpointRequests, OnRead, OnWritten
from gadgetip.pump.file_kind import FileKind
from gadgetip.pump.native_engine import NativeEngine


class NativeReplicaEndpoint(EndpointRequests):
    """See `ReplicaEndpoint`. `number` is the file's in the engine."""

    def __init__(
        self, engine: NativeEngine, file: int, *, is_in: bool, kind: FileKind | None = None
    ) -> None:
        super().__init__(file, is_in=is_in, kind=kind)
        self._engine = engine
        self.number: int = engine.core.open_file(file, is_in, self.kind is FileKind.GADGETFS)
        self._pending = 0

    @property
    def pending(self) -> int:
        """Requests that the host has not taken yet."""
        return self._pending

    @property
    def fifo_filled_at(self) -> float:
        """When an emulated FIFO was filled last, on the loop's clock, in seconds."""
        return float(self._engine.core.fifo_filled_at(self.number))

    def read(self, size: int, on_read: OnRead) -> None:
        """Queue a read of `size` bytes, a multiple of the packet size."""
        self.adopt_read(self._engine.request(self.number, size, b"", _nobody), on_read)

    def write(self, data: bytes | bytearray | memoryview, on_written: OnWritten) -> None:
        """Queue a write; no bytes are a zero-length packet."""
        size = len(data)
        request = self._engine.request(self.number, size, bytes(data), _nobody)
        self.adopt_write(request, size, on_written)

    def adopt_read(self, request: int, on_read: OnRead) -> None:
        """Be told what becomes of a read."""

        def completed(result: int, data: bytes) -> None:
            self._completed()
            on_read(min(result, 0), memoryview(data))

        self._begin(request)
        self._engine.adopt(request, completed)

    def adopt_write(self, request: int, size: int, on_written: OnWritten) -> None:
        """Be told what becomes of a write of `size` bytes."""

        def completed(result: int, _: bytes) -> None:
            self._completed()
            on_written(-errno.ECONNRESET if 0 <= result < size else min(result, 0))

        self._begin(request)
        self._engine.adopt(request, completed)

    def close(self) -> None:
        """Let go of the file; nothing is queued any more, or nobody hears of it."""
        if not self._engine.is_closed:
            self._engine.core.close_file(self.number)

    async def cancel_all(self) -> None:
        """Take every request back and await the completions."""
        if self._pending and not self._engine.is_closed:
            self._engine.core.cancel(self.number)
        await self.drained()

    def _begin(self, _request: int) -> None:
        self._pending += 1
        self.idle.clear()

    def _completed(self) -> None:
        self._pending -= 1
        if not self._pending:
            self.idle.set()


def _nobody(_result: int, _data: bytes) -> None:
    """Stands in until who waits for a request is known."""
