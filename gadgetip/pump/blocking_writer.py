"""Writing to an endpoint file on a thread, one write at a time.

Linux AIO is the way to write, except in one place, where it would hang the machine. GadgetFS queues
a request while it holds the lock that its completion takes (legacy/inode.c, `ep_aio`,
`ep_aio_complete`), and some controllers complete a small write inside of that call: dummy_hcd, when
it goes into its emulated FIFO (dummy_hcd.c, `dummy_queue`). A write that waits takes another way
through the kernel, without that lock. It holds the endpoint's mutex until the host has fetched it,
so nothing else can be done with the endpoint meanwhile, and it can only be taken back by a signal.
"""

import asyncio
import ctypes
import errno
import queue
import signal
import threading
from collections.abc import Callable

OnResult = Callable[[int], None]

INTERRUPT = signal.SIGUSR1
INTERRUPT_AGAIN_S = 0.005


class BlockingWriter:
    """Writes to `file` in order; each result, bytes or -errno, is handed to the event loop."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[bytes, OnResult] | None] = queue.SimpleQueue()
        self._cancelled = False
        # A handler, so that the signal interrupts the call; Python's own sets no SA_RESTART.
        signal.signal(INTERRUPT, _ignore)
        self._thread = threading.Thread(target=self._run, name=f"write {file}", daemon=True)
        self._thread.start()

    def write(self, data: bytes, on_result: OnResult) -> None:
        """Queue a write; no bytes are a zero-length packet."""
        self._jobs.put((data, on_result))

    async def cancel(self, idle: asyncio.Event) -> None:
        """Take back what has not been fetched, until `idle` says that nothing is left."""
        self._cancelled = True
        try:
            while not idle.is_set():
                if self._thread.ident is not None:
                    # It may come before the thread is inside of the call: so, until it is out.
                    signal.pthread_kill(self._thread.ident, INTERRUPT)
                try:
                    async with asyncio.timeout(INTERRUPT_AGAIN_S):
                        await idle.wait()
                except TimeoutError:
                    continue
        finally:
            self._cancelled = False

    def close(self) -> None:
        """End the thread; nothing may be queued any more."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            data, on_result = job
            result = -errno.ECONNRESET if self._cancelled else self._write(data)
            self._loop.call_soon_threadsafe(on_result, result)

    def _write(self, data: bytes) -> int:
        # Not os.write: that tries again after a signal (PEP 475).
        written = _LIBC.write(self._file, data, len(data))
        if written >= 0:
            return int(written)
        error = ctypes.get_errno()
        return -errno.ECONNRESET if error == errno.EINTR else -error


def _ignore(_number: int, _frame: object) -> None:
    """A signal whose only purpose is to interrupt."""


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.write.restype = ctypes.c_ssize_t
_LIBC.write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
