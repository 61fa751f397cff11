"""The AIO context of one attachment: requests on many endpoint files, completions by callback.

Linux AIO, because a plain read or write of an endpoint file would hold the file's mutex until the
host moves, and a halt needs that mutex. Requests queued within one turn of the event loop reach
the kernel in one system call. An error before queueing arrives as a completion like any other.

FunctionFS of some kernels takes a reference to this process's memory for each request, and gives it
back only for reads that brought something (f_fs.c, `ffs_epfile_write_iter`,
`ffs_user_copy_worker`). The kernel counts them in 32 bits, and when the count wraps the memory is
freed under the process. Nothing gives them back but the end of the process: so they are counted
here (`references`), and whoever owns the process ends it in time.
"""

import asyncio
import errno
import logging

import libaio

from gadgetip.pump.batch import Batch

log = logging.getLogger(__name__)

EVENTS_A_TURN = 128


class RequestQueue:
    """The AIO context of one attachment: submits in batches, hands completions out."""

    def __init__(self, capacity: int, batch: Batch) -> None:
        self._batch = batch
        self._context = libaio.AIOContext(capacity)
        self._eventfd = libaio.EventFD(flags=libaio.EFD_NONBLOCK | libaio.EFD_CLOEXEC)
        self._queued: list[libaio.AIOBlock] = []
        self.references = 0
        """Those that some kernels have kept; see the head of this module."""
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
