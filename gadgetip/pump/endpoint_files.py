"""Requests on the replica's endpoint files, many at a time.

An endpoint file of FunctionFS is read and written with Linux AIO: a plain read or write would
hold the file's mutex until the host moves, and a halt needs that mutex. `functionfs` has endpoint
file classes of its own; they are replaced here because they open the files so that `io_submit`
blocks while the endpoint is disabled, and because their OUT scheme re-reads by itself, several
packets at a time, which loses the boundaries between the host's transfers
(drivers/usb/gadget/function/f_fs.c, `ffs_epfile_io`).

What the kernel does that one must know: an error before queueing arrives as a completion like any
other; a disabled endpoint answers ESHUTDOWN (or EAGAIN where the file is non-blocking); a
cancelled request completes with ECONNRESET; a write of no bytes sends a zero-length packet.
Requests queued within one turn of the event loop reach the kernel in one system call.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable

import libaio

from gadgetip.pump.batch import Batch

log = logging.getLogger(__name__)

OnRead = Callable[[int, memoryview], None]
OnWritten = Callable[[int], None]

EVENTS_A_TURN = 128
HALT_RETRY_S = (0.0005, 0.02)


class RequestQueue:
    """The AIO context of one attachment: submits in batches, hands completions out."""

    def __init__(self, capacity: int, batch: Batch) -> None:
        self._batch = batch
        self._context = libaio.AIOContext(capacity)
        self._eventfd = libaio.EventFD(flags=libaio.EFD_NONBLOCK | libaio.EFD_CLOEXEC)
        self._queued: list[libaio.AIOBlock] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Hand completions out on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._eventfd, self._completed)

    def close(self) -> None:
        """Cancel what is queued, wait for it (the kernel does) and free the context."""
        if self._loop is not None:
            self._loop.remove_reader(self._eventfd)
            self._loop = None
        self._context.close()
        self._eventfd.close()

    def make_block(self, mode: object, file: int) -> libaio.AIOBlock:
        """A request block for one file; it may be submitted again once it has completed."""
        return libaio.AIOBlock(mode=mode, target_file=file, eventfd=self._eventfd)

    def submit(self, block: libaio.AIOBlock) -> None:
        """Queue one request."""
        self._queued.append(block)
        if self._loop is not None:
            self._batch.defer(self._flush)

    def cancel(self, block: libaio.AIOBlock) -> None:
        """Ask for one request back; its completion tells how that went."""
        self._flush()
        try:
            self._context.cancel(block)
        except OSError as error:
            # EINVAL: it has completed and its event waits to be read.
            if error.errno not in {errno.EINVAL, errno.EAGAIN}:
                raise

    def _flush(self) -> None:
        queued, self._queued = self._queued, []
        while queued:
            try:
                accepted = self._context.submit(queued)
            except OSError as error:
                # It never reached the kernel, so nobody else will tell the one who waits for it.
                log.error("io_submit: %s", error)
                refused, queued = queued[0], queued[1:]
                refused.onCompletion(refused, -(error.errno or errno.EIO), 0)
            else:
                queued = queued[accepted:]

    def _completed(self) -> None:
        self._eventfd.read()
        # The eventfd has forgotten how many there are: what is left now would wait for the next.
        with self._batch:
            while len(self._context.getEvents(0, EVENTS_A_TURN, 0)) == EVENTS_A_TURN:
                pass


class ReplicaEndpoint:
    """One endpoint of the replica, seen from our side.

    Reads take what the host sent (OUT), writes give what it will fetch (IN).
    """

    def __init__(self, queue: RequestQueue, file: int, *, is_in: bool) -> None:
        self.file = file
        self.is_in = is_in
        self._queue = queue
        self._mode = libaio.AIOBLOCK_MODE_WRITE if is_in else libaio.AIOBLOCK_MODE_READ
        self._pending: dict[int, libaio.AIOBlock] = {}
        self._spare: list[libaio.AIOBlock] = []
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending(self) -> int:
        """Requests that the host has not taken yet."""
        return len(self._pending)

    def read(self, size: int, on_read: OnRead) -> None:
        """Queue a read of `size` bytes, a multiple of the packet size.

        `on_read` gets (0, data) or (negative errno, empty); data may be empty: a zero-length
        packet.
        """
        buffer = bytearray(size)

        def completed(block: libaio.AIOBlock, result: int, _: int) -> None:
            self._settle(block)
            if result < 0:
                on_read(result, memoryview(b""))
            else:
                on_read(0, memoryview(buffer)[:result])

        self._start(buffer, completed)

    def write(self, data: bytes | bytearray | memoryview, on_written: OnWritten) -> None:
        """Queue a write; no bytes are a zero-length packet. `on_written` gets 0 or an errno < 0."""
        buffer = data if isinstance(data, bytearray) else bytearray(data)

        def completed(block: libaio.AIOBlock, result: int, _: int) -> None:
            self._settle(block)
            on_written(min(result, 0))

        self._start(buffer, completed)

    async def drained(self) -> None:
        """Wait until the host, or an error, has taken every request."""
        await self._idle.wait()

    async def cancel_all(self) -> None:
        """Take every request back and await the completions."""
        for block in list(self._pending.values()):
            self._queue.cancel(block)
        await self._idle.wait()

    async def halt(self) -> None:
        """Halt the endpoint towards the host (USB 2.0, 5.8.5).

        FunctionFS halts on I/O in the wrong direction, which "fails" with EBADMSG when it
        worked; EAGAIN means that a request is still queued in the controller, so it is asked
        again. Ends quietly when the endpoint was disabled meanwhile: nothing is left to halt.
        """
        wait_s, longest_s = HALT_RETRY_S
        while True:
            try:
                if self.is_in:
                    os.read(self.file, 0)
                else:
                    os.write(self.file, b"")
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    if error.errno != errno.EBADMSG:
                        log.debug("halt of file %d: %s", self.file, error)
                    return
            else:
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)

    def _start(
        self, buffer: bytearray, completed: Callable[[libaio.AIOBlock, int, int], None]
    ) -> None:
        # Making a block costs more than anything else here, so blocks are used again.
        block = self._spare.pop() if self._spare else self._queue.make_block(self._mode, self.file)
        block.buffer_list = (buffer,) if buffer else ()
        block.onCompletion = completed
        self._pending[id(block)] = block
        self._idle.clear()
        self._queue.submit(block)

    def _settle(self, block: libaio.AIOBlock) -> None:
        del self._pending[id(block)]
        self._spare.append(block)
        if not self._pending:
            self._idle.set()
