"""Reading and writing an endpoint file on a thread of its own, one request at a time.

For GadgetFS, where Linux AIO hangs the machine, in two ways (legacy/inode.c):

* A request is taken back under the AIO context's lock (fs/aio.c, `io_cancel`; `free_ioctx_users`,
  which also runs when the process is killed). `ep_aio_cancel` dequeues it, the controller
  completes it at once, and the completion takes that lock again. FunctionFS is safe because it
  completes requests from a work queue.
* A request is queued under the lock that its completion takes (`ep_aio`, `ep_aio_complete`), and
  some controllers complete a small write inside of that call (dummy_hcd.c, `dummy_queue`).

A call that waits takes another way through the kernel (`ep_io`), without either. It holds the
endpoint's mutex until the host has moved, so a halt has to wait for the end of it, and it is taken
back by a signal: the call ends with EINTR. A process that is killed ends it cleanly.
"""

import asyncio
import contextlib
import ctypes
import errno
import queue
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

OnResult = Callable[[int], None]

INTERRUPT = signal.SIGUSR1
INTERRUPT_AGAIN_S = 0.005


@dataclass(frozen=True, slots=True)
class _Job:
    """One request; the buffer is read into or written from."""

    buffer: bytearray
    on_result: OnResult


class BlockingFile:
    """Carries out requests on `file` in order; each result, bytes or -errno, goes to the loop."""

    def __init__(self, file: int, *, is_in: bool) -> None:
        self._file = file
        self._call = _LIBC.write if is_in else _LIBC.read
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._cancelled = False
        # A handler, so that the signal interrupts the call; Python's own sets no SA_RESTART.
        signal.signal(INTERRUPT, _ignore)
        self._thread = threading.Thread(target=self._run, name=f"endpoint {file}", daemon=True)
        self._thread.start()

    def submit(self, buffer: bytearray, on_result: OnResult) -> None:
        """Queue a request; an empty write is a zero-length packet."""
        self._jobs.put(_Job(buffer, on_result))

    async def cancel(self, idle: asyncio.Event) -> None:
        """Take back what has not moved, until `idle` says that nothing is left."""
        self._cancelled = True
        try:
            while not idle.is_set():
                self._interrupt()
                try:
                    async with asyncio.timeout(INTERRUPT_AGAIN_S):
                        await idle.wait()
                except TimeoutError:
                    continue
        finally:
            self._cancelled = False

    def close(self) -> None:
        """Take back what is left, whose results nobody hears of any more, and end the thread."""
        self._cancelled = True
        self._jobs.put(None)
        while self._thread.is_alive():
            self._interrupt()
            self._thread.join(INTERRUPT_AGAIN_S)

    def _interrupt(self) -> None:
        """It may come before the thread is inside of the call: so, again until it is out."""
        if self._thread.is_alive() and self._thread.ident is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pthread_kill(self._thread.ident, INTERRUPT)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result = -errno.ECONNRESET if self._cancelled else self._carry_out(job.buffer)
            try:
                self._loop.call_soon_threadsafe(job.on_result, result)
            except RuntimeError:  # the loop is closed: this process is ending
                return

    def _carry_out(self, buffer: bytearray) -> int:
        # Not os.read or os.write: those try again after a signal (PEP 475).
        size = len(buffer)
        place = (ctypes.c_char * size).from_buffer(buffer) if size else None
        moved = self._call(self._file, place, size)
        if moved >= 0:
            return int(moved)
        error = ctypes.get_errno()
        return -errno.ECONNRESET if error == errno.EINTR else -error


def _ignore(_number: int, _frame: object) -> None:
    """A signal whose only purpose is to interrupt."""


_LIBC = ctypes.CDLL(None, use_errno=True)
for _call in (_LIBC.read, _LIBC.write):
    _call.restype = ctypes.c_ssize_t
    _call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
