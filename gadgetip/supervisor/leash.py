"""The attachment process's end: news goes out, "wake" comes in, and a leash that may be let go.

The process is blocked most of the time: in the keeper's loop, in a search, in a pause. Only in a
pause it can be woken up, so the channel is looked at there. That it is to end, it has to hear
everywhere. So there is a second pair of sockets on which nothing is ever sent: the supervisor
closes its end, or the kernel does when the supervisor is dead, however it died. The kernel then
raises SIGIO here (O_ASYNC, fcntl(2)), and that becomes the SIGTERM which all of `attachment` knows
how to end in order upon.
"""

import fcntl
import os
import select
import signal
import socket

from gadgetip.supervisor.messages import News, Value, encode

WAKE = b"wake"
SEND_LIMIT_S = 2.0

_MAY_GET_LOST = frozenset({News.TRAFFIC, News.HOST})


class Leash:
    """Holds the ends of a `SOCK_SEQPACKET` channel and of the leash; make it once in the process.

    The main thread of the process that is led makes it.
    """

    def __init__(self, channel: socket.socket, leash: socket.socket) -> None:
        self._channel = channel
        self._leash = leash
        for end in (channel, leash):
            end.setblocking(False)
        signal.signal(signal.SIGIO, lambda *_: self._pulled())
        fcntl.fcntl(leash, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(leash, fcntl.F_SETFL, fcntl.fcntl(leash, fcntl.F_GETFL) | os.O_ASYNC)
        self._pulled()  # what came before the signal was set up

    def send(self, news: News, **fields: Value) -> None:
        """Tell the supervisor; one that is stuck is waited for, but for figures, and briefly."""
        if news not in _MAY_GET_LOST:
            select.select([], [self._channel], [], SEND_LIMIT_S)
        try:
            self._channel.send(encode(news, **fields))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return

    def pause(self, seconds: float) -> bool:
        """Wait; returns True, and at once, when the supervisor has woken this process up."""
        spoken, _, _ = select.select([self._channel], [], [], max(seconds, 0.0))
        woken = False
        while spoken:
            try:
                word = self._channel.recv(64)
            except BlockingIOError:
                break
            except ConnectionResetError:
                word = b""
            if not word:  # the supervisor is dead, and the leash tells
                break
            woken |= word == WAKE
        return woken

    def _pulled(self) -> None:
        try:
            gone = not self._leash.recv(1)
        except BlockingIOError:
            return
        except ConnectionResetError:
            gone = True
        if gone:
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            signal.raise_signal(signal.SIGTERM)
