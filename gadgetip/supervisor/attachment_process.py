"""One attachment process, as the supervisor sees it: a process id, a channel, a log, an end.

The process is forked, not started anew: Python takes seconds to start on a small board, and a
reconnection should not. What it inherits and has no use for is closed: with the lock it would hold
that after the supervisor's death, with another process's channel it would keep that process from
noticing. The supervisor's objects stay where they are, frozen: nothing may ever be done to them,
least of all to its event loop, whose epoll instance is shared.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

from gadgetip.supervisor.leash import WAKE, Leash
from gadgetip.supervisor.messages import MAX_MESSAGE_BYTES, Message, MessageError, decode

STOP_LIMIT_S = 15.0
LOG_CHUNK_BYTES = 4096
MAX_LINE_BYTES = 2000
_BURST = 64


class AttachmentProcess:
    """Forks a process that runs `live`; needs a running event loop without other threads.

    `on_message` and `on_line` are told what it says. `on_end` is told once how it died, in words,
    "" for exit status 0; nothing is told after that. Raises `OSError` when no process can be made;
    then nothing is left of it.
    """

    def __init__(
        self,
        live: Callable[[Leash], None],
        *,
        on_message: Callable[[Message], None],
        on_line: Callable[[str], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._on_message = on_message
        self._on_line = on_line
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.stopping = False
        self._killer: asyncio.TimerHandle | None = None
        self._line = b""
        self._nonsense = ""
        with contextlib.ExitStack() as undo:
            self._fork(live, undo)
            undo.pop_all()

    def _fork(self, live: Callable[[Leash], None], undo: contextlib.ExitStack) -> None:
        """Make the process and listen to it; `undo` takes everything back. Raises `OSError`."""
        with contextlib.ExitStack() as theirs:
            self._channel, their_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(self._channel.close)
            theirs.callback(their_channel.close)
            self._leash, their_leash = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            undo.callback(self._leash.close)
            theirs.callback(their_leash.close)
            self._log, their_log = os.pipe()
            undo.callback(os.close, self._log)
            theirs.callback(os.close, their_log)
            sys.stdout.flush()
            sys.stderr.flush()
            self.pid = os.fork()
            if self.pid == 0:
                _live_as_attachment(live, their_channel, their_leash, their_log)
        undo.callback(_kill_child, self.pid)
        self._channel.setblocking(False)
        os.set_blocking(self._log, False)
        self._pidfd = os.pidfd_open(self.pid)
        undo.callback(os.close, self._pidfd)
        heard = ((self._channel, self._heard), (self._log, self._read_log))
        for file, hear in (*heard, (self._pidfd, self._died)):
            self._loop.add_reader(file, hear)
            undo.callback(self._loop.remove_reader, file)

    def wake(self) -> None:
        """Tell it that something happened which makes asking again worth while."""
        # One that was woken so often, and did not look yet, will look.
        with contextlib.suppress(OSError):
            self._channel.send(WAKE)

    def stop(self) -> None:
        """Tell it to end in order; it is killed after `STOP_LIMIT_S`."""
        if not self.stopping:
            self.stopping = True
            self._leash.close()
            self._killer = self._loop.call_later(STOP_LIMIT_S, self.kill)

    def kill(self) -> None:
        """End it now; its worker ends by itself, and the next start removes what it left."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _heard(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._channel.recv(MAX_MESSAGE_BYTES + 1)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._loop.remove_reader(self._channel)
                return
            try:
                message = decode(data)
            except MessageError as error:
                self._nonsense = f"it sent no message: {error}"
                self._loop.remove_reader(self._channel)
                self.kill()
                return
            self._on_message(message)

    def _read_log(self) -> None:
        for _ in range(_BURST):
            try:
                data = os.read(self._log, LOG_CHUNK_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._log)
                return
            *lines, self._line = (self._line + data).split(b"\n")
            for line in lines:
                self._tell(line)
            while len(self._line) > MAX_LINE_BYTES:
                self._tell(self._line[:MAX_LINE_BYTES])
                self._line = self._line[MAX_LINE_BYTES:]

    def _tell(self, line: bytes) -> None:
        self._on_line(line.decode("utf-8", "replace"))

    def _died(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if not self._nonsense:
            self._heard()
        self._read_log()
        if self._line:
            self._tell(self._line)
        _, status = os.waitpid(self.pid, 0)
        for file in (self._channel, self._log):
            self._loop.remove_reader(file)
        self._channel.close()
        self._leash.close()
        os.close(self._log)
        os.close(self._pidfd)
        if self._killer is not None:
            self._killer.cancel()
        self.ended.set()
        self._on_end(self._nonsense or _how_it_died(status))


def _kill_child(pid: int) -> None:
    """End a child that nobody listens to, and collect it."""
    os.kill(pid, signal.SIGKILL)  # it is ours and not collected: the number is nobody else's
    os.waitpid(pid, 0)


def _how_it_died(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(number).name}"
        return f"killed by signal {number}"
    code = os.WEXITSTATUS(status)
    return f"exit status {code}" if code else ""


def _live_as_attachment(
    live: Callable[[Leash], None], channel: socket.socket, leash: socket.socket, log: int
) -> NoReturn:
    """What the forked process does; it must never return into the supervisor's code."""
    status = 1
    try:
        gc.freeze()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = _text_file(1), _text_file(2)
        _close_all_but({0, 1, 2, channel.fileno(), leash.fileno()})
        # Until then there is nothing to be ended in order.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        live(Leash(channel, leash))
        status = 0
    except KeyboardInterrupt:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _text_file(number: int) -> TextIO:
    """An open file as one for lines of text, whatever the supervisor's own was."""
    return open(
        number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def _close_all_but(kept: set[int]) -> None:
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)
