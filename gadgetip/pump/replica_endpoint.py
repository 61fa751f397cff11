"""One endpoint of the replica in Python: the requests on its file.

Endpoint files of FunctionFS are read and written with Linux AIO, many requests at a time
(`request_queue`); those of GadgetFS on a thread, one at a time, because AIO on them hangs the
machine (`blocking_file`). `functionfs` has endpoint file classes of its own; they are replaced here
because they open the files so that `io_submit` blocks while the endpoint is disabled, and because
their OUT scheme re-reads by itself, several packets at a time, which loses the boundaries between
the host's transfers (drivers/usb/gadget/function/f_fs.c, `ffs_epfile_io`).
"""

import asyncio
import errno
from collections.abc import Callable

import libaio

from gadgetip.pump.blocking_file import BlockingFile
from gadgetip.pump.endpoint_requests import FIFO_BYTES, EndpointRequests, OnRead, OnWritten
from gadgetip.pump.file_kind import FileKind
from gadgetip.pump.request_queue import RequestQueue


class ReplicaEndpoint(EndpointRequests):
    """One endpoint of the replica, seen from our side.

    Reads take what the host sent (OUT), writes give what it will fetch (IN).
    """

    def __init__(
        self,
        queue: RequestQueue,
        file: int,
        *,
        is_in: bool,
        kind: FileKind | None = None,
    ) -> None:
        super().__init__(file, is_in=is_in, kind=kind)
        self._filled_at = float("-inf")
        self._queue = queue
        self._mode = libaio.AIOBLOCK_MODE_WRITE if is_in else libaio.AIOBLOCK_MODE_READ
        self._pending: dict[int, libaio.AIOBlock] = {}
        self._spare: list[libaio.AIOBlock] = []
        self._blocking: BlockingFile | None = None
        if self.kind is FileKind.GADGETFS:
            self._blocking = BlockingFile(file, is_in=is_in)
        self._waiting = 0
        """Requests that the thread has."""

    @property
    def pending(self) -> int:
        """Requests that the host has not taken yet."""
        return len(self._pending) + self._waiting

    @property
    def fifo_filled_at(self) -> float:
        """When an emulated FIFO was filled last, on the loop's clock, in seconds."""
        return self._filled_at

    def read(self, size: int, on_read: OnRead) -> None:
        """Queue a read of `size` bytes, a multiple of the packet size.

        `on_read` gets (0, data) or (negative errno, empty); data may be empty: a zero-length
        packet.
        """
        buffer = bytearray(size)

        def completed(result: int) -> None:
            if result < 0:
                on_read(result, memoryview(b""))
            else:
                on_read(0, memoryview(buffer)[:result])

        self._start(buffer, completed)

    def write(self, data: bytes | bytearray | memoryview, on_written: OnWritten) -> None:
        """Queue a write; no bytes are a zero-length packet. `on_written` gets 0 or an errno < 0."""
        buffer = data if isinstance(data, bytearray) else bytearray(data)

        def written(result: int) -> None:
            if self.kind is FileKind.GADGETFS and result == len(buffer) <= FIFO_BYTES:
                self._filled_at = asyncio.get_running_loop().time()
            cut_off = 0 <= result < len(buffer)
            on_written(-errno.ECONNRESET if cut_off else min(result, 0))

        self._start(buffer, written)

    def close(self) -> None:
        """Let go of the file; nothing is queued any more, or nobody hears of it."""
        if self._blocking is not None:
            self._blocking.close()

    async def cancel_all(self) -> None:
        """Take every request back and await the completions."""
        for block in list(self._pending.values()):
            self._queue.cancel(block)
        if self._blocking is not None and self._waiting:
            await self._blocking.cancel(self.idle)
        await self.idle.wait()

    def _start(self, buffer: bytearray, completed: Callable[[int], None]) -> None:
        """Queue a request; `completed` gets bytes or -errno."""
        self.idle.clear()
        if self._blocking is not None:

            def returned(result: int) -> None:
                self._waiting -= 1
                self._note_idle()
                completed(result)

            self._waiting += 1
            self._blocking.submit(buffer, returned)
            return

        def settled(block: libaio.AIOBlock, result: int, _: int) -> None:
            del self._pending[id(block)]
            self._spare.append(block)
            if self.is_in or result <= 0:
                self._queue.references += 1
            self._note_idle()
            completed(result)

        # Making a block costs more than anything else here, so blocks are used again.
        block = self._spare.pop() if self._spare else self._queue.make_block(self._mode, self.file)
        block.buffer_list = (buffer,) if buffer else ()
        block.onCompletion = settled
        self._pending[id(block)] = block
        self._queue.submit(block)

    def _note_idle(self) -> None:
        if not self._pending and not self._waiting:
            self.idle.set()
