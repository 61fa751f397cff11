"""What an endpoint of the replica offers, whoever carries its requests out; and its halt.

The host's side of every shaper.

What the kernel does that one must know: a disabled endpoint answers ESHUTDOWN (or EAGAIN where the
file is non-blocking); a cancelled request completes with ECONNRESET; a write of no bytes sends a
zero-length packet. Where the two file systems differ: `file_kind`.

A halt must not overtake data. FunctionFS refuses it while a request is queued, so it is asked
again. GadgetFS does not tell, so every request must have completed before, which the shapers see
to; and that is enough on every controller that completes a write when the host has acknowledged
it. `dummy_hcd` does not: a write of up to 64 bytes completes when it is in an emulated FIFO
(dummy_hcd.c, `dummy_queue`), and a halt is refused until the host has fetched it. There the halt
waits `FIFO_S` behind such a write, in which a host that is reading fetches it. A host that reads
only later misses the halt: it gets the data, and behind it what the device sends after the halt.
To halt a second time to be sure would be worse: a host that had cleared the first would meet a
halt that the device never made, on hardware too.
"""

import asyncio
import errno
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable

from gadgetip.pump.file_kind import FileKind

log = logging.getLogger(__name__)

OnRead = Callable[[int, memoryview], None]
OnWritten = Callable[[int], None]

HALT_RETRY_S = (0.0005, 0.02)

FIFO_BYTES = 64
FIFO_S = 0.02
"""What an emulated FIFO holds, and how long a host that reads needs to fetch it: some jiffies."""


class EndpointRequests(ABC):
    """What every kind of endpoint offers: requests on its file, and its halt.

    `kind` is asked of the kernel where it is not given. `idle` is set while nothing is queued.
    """

    def __init__(self, file: int, *, is_in: bool, kind: FileKind | None = None) -> None:
        self.file = file
        self.is_in = is_in
        self.kind = FileKind.of(file) if kind is None else kind
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    @abstractmethod
    def pending(self) -> int:
        """Requests that the host has not taken yet."""

    @property
    @abstractmethod
    def fifo_filled_at(self) -> float:
        """When an emulated FIFO was filled last, on the loop's clock, in seconds."""

    @abstractmethod
    def read(self, size: int, on_read: OnRead) -> None:
        """Queue a read of `size` bytes, a multiple of the packet size.

        `on_read` gets (0, data) or (negative errno, empty); data may be empty: a zero-length
        packet.
        """

    @abstractmethod
    def write(self, data: bytes | bytearray | memoryview, on_written: OnWritten) -> None:
        """Queue a write; no bytes are a zero-length packet. `on_written` gets 0 or an errno < 0."""

    @abstractmethod
    async def cancel_all(self) -> None:
        """Take every request back and await the completions."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; nothing is queued any more, or nobody hears of it."""

    def adopt_read(self, request: int, on_read: OnRead) -> None:
        """Be told what becomes of a read that a lane has queued; only lanes' endpoints have any."""
        raise NotImplementedError

    def adopt_write(self, request: int, size: int, on_written: OnWritten) -> None:
        """Be told what becomes of a write of `size` bytes that a lane has queued."""
        raise NotImplementedError

    async def drained(self) -> None:
        """Wait until the host, or an error, has taken every request."""
        await self.idle.wait()

    async def halt(self) -> None:
        """Halt the endpoint towards the host (USB 2.0, 5.8.5).

        I/O in the wrong direction halts, and "fails" with EBADMSG when it did; EAGAIN of
        FunctionFS means that a request is still queued in the controller, so it is asked again.
        Ends quietly when the endpoint was disabled meanwhile: nothing is left to halt.
        """
        if self.kind is FileKind.GADGETFS:
            await self._fifo_fetched()
        wait_s, longest_s = HALT_RETRY_S
        while (error := self._try_to_halt()) == errno.EAGAIN and self.kind is FileKind.FUNCTIONFS:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)
        if error not in {0, errno.EBADMSG}:
            log.debug("halt of file %d: %s", self.file, os.strerror(error))

    def _try_to_halt(self) -> int:
        try:
            if self.is_in:
                os.read(self.file, 0)
            else:
                os.write(self.file, b"")
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    async def _fifo_fetched(self) -> None:
        """Give the host time to fetch what was written last, where nothing tells that it did."""
        left_s = self.fifo_filled_at + FIFO_S - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)
