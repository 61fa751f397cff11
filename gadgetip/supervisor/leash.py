"""The attachment process's end of its channel: news goes out, "wake" and "stop" come in.

The process is blocked most of the time: in the keeper's loop, in a search, in a pause. So what
comes in comes as a signal: the kernel raises SIGIO when the socket has something to read (O_ASYNC,
fcntl(2)), also when the supervisor is gone, however it died. "stop" and the end of the channel are
turned into the SIGTERM that all of `attachment` knows how to end in order upon.
"""

import fcntl
import os
import select
import signal
import socket

from gadgetip.supervisor.messages import News, Value, encode

WAKE = b"wake"
STOP = b"stop"
SEND_LIMIT_S = 2.0

_MAY_GET_LOST = frozenset({News.TRAFFIC, News.HOST})


class Leash:
    """Holds an end of a `SOCK_SEQPACKET` pair; make it in the process that is led, once."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.stopping = False
        """Whether the supervisor wants this process to end, or is gone."""
        end.setblocking(False)
        signal.signal(signal.SIGIO, lambda *_: self._heard())
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
        self._heard()  # what came before the signal was set up

    def send(self, news: News, **fields: Value) -> None:
        """Tell the supervisor; one that is stuck is waited for, but for figures, and briefly."""
        if news not in _MAY_GET_LOST:
            select.select([], [self._end], [], SEND_LIMIT_S)
        try:
            self._end.send(encode(news, **fields))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return

    def pause(self, seconds: float) -> bool:
        """Wait; returns True, and at once, when the supervisor woke this process up."""
        woken, _, _ = select.select([self._woken], [], [], max(seconds, 0.0))
        if woken:
            os.eventfd_read(self._woken)
        return bool(woken)

    def _heard(self) -> None:
        while not self.stopping:
            try:
                word = self._end.recv(64)
            except BlockingIOError:
                return
            except ConnectionResetError:
                word = b""
            if word == WAKE:
                os.eventfd_write(self._woken, 1)
            elif word in {STOP, b""}:
                self.stopping = True
                signal.raise_signal(signal.SIGTERM)
