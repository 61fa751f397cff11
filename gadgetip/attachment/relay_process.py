"""The relay's own process: it reads what a server says, and has no privileges.

It has the stream to the server, one end of a pair of sockets whose other end vhci_hcd has, and the
channel to its keeper. However it ends, its end of that pair is closed, and the kernel frees the
port as if the device had been unplugged.
"""

import gc
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from typing import NoReturn

from gadgetip.attachment.channel import Channel, MessageError, Word, channel
from gadgetip.attachment.confinement import drop_privileges, let_go_of_all_but
from gadgetip.attachment.counting import connection_figures
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.attachment.traffic import Traffic, pack_traffic, parse_traffic
from gadgetip.errors import GadgetipError
from gadgetip.pump.native_module import native_module
from gadgetip.pump.relay import Relay, RelayEnd, RelaySetting

TRAFFIC_S = 1.0
READY_LIMIT_S = 20.0
LEAVE_LIMIT_S = 3.0
BUFFER_BYTES = 1024 * 1024
"""What the pair of sockets may hold: a large write of the kernel's in one piece."""

_LINK_ENDS = {RelayEnd.SERVER_CLOSED, RelayEnd.SERVER_FAILED, RelayEnd.STOPPED}


class RelayProcess:
    """Forks it; `kernel_end` is what vhci_hcd is to get.

    The native pump has to be there. Raises `GadgetipError` where the relay does not start,
    `OSError` where the kernel refuses a process or the sockets.
    """

    def __init__(
        self,
        stream: socket.socket,
        settings: list[RelaySetting],
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_notice = on_notice
        self._traffic = Traffic()
        self._link_ended = False
        self._died = ""
        self._status: int | None = None
        self._channel, theirs = channel()
        self.kernel_end, relays = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (self.kernel_end, relays):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._pid = os.fork()
        if self._pid == 0:
            kept = {0, 1, 2, stream.fileno(), relays.fileno(), theirs.fileno()}
            _live_as_relay(stream, relays, settings, theirs, kept)
        theirs.close()
        relays.close()
        self._poller = select.poll()
        self._poller.register(self._channel, select.POLLIN)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self) -> None:
        if not self._poller.poll(READY_LIMIT_S * 1000):
            raise GadgetipError(f"the worker was not ready in {READY_LIMIT_S:.0f} s")
        message = self._channel.receive()
        if message is None or message.word is not Word.READY:
            raise GadgetipError(f"the worker died: {self._reap()}")

    def is_over(self, limit_s: float) -> bool:
        """Wait so long for the end of it; what it says meanwhile is noted."""
        if self._link_ended or self._died:
            return True
        while self._poller.poll(limit_s * 1000):
            limit_s = 0.0
            try:
                message = self._channel.receive()
            except MessageError as error:
                self._died = f"the worker sent no message: {error}"
                return True
            if message is None:
                self._died = f"the worker died: {self._reap()}"
                return True
            if message.word is Word.NOTICE:
                self._on_notice(message.text)
            elif message.word is Word.TRAFFIC:
                self._traffic = parse_traffic(message.text) or self._traffic
            elif message.word is Word.LINK_ENDED:
                self._link_ended = True
                return True
            elif message.word is Word.ENDED:
                self._died = message.text
                return True
        return False

    def traffic(self) -> Traffic:
        """What has moved, as it said last."""
        return self._traffic

    @property
    def failure(self) -> GadgetipError | None:
        """Where it was the relay that failed, and no link and no device."""
        return GadgetipError(self._died) if self._died else None

    def close(self) -> None:
        """End it, and collect it."""
        self.kernel_end.close()
        self._channel.close()
        self._reap()

    def _reap(self) -> str:
        if self._status is None:
            process = os.pidfd_open(self._pid)
            gone, _, _ = select.select([process], [], [], LEAVE_LIMIT_S)
            os.close(process)
            if not gone:
                os.kill(self._pid, signal.SIGKILL)
            _, self._status = os.waitpid(self._pid, 0)
        if os.WIFSIGNALED(self._status):
            return f"killed by {signal.Signals(os.WTERMSIG(self._status)).name}"
        return f"exit status {os.WEXITSTATUS(self._status)}"


def _live_as_relay(
    stream: socket.socket,
    kernel: socket.socket,
    settings: list[RelaySetting],
    keeper: Channel,
    kept: set[int],
) -> NoReturn:
    """What the forked process does; it must never return into its keeper's code."""
    status = 1
    try:
        gc.freeze()
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        let_go_of_all_but(kept)
        drop_privileges()
        module = native_module()
        assert module is not None
        relay = Relay(module, stream.fileno(), kernel.fileno(), settings)
        keeper.send(Word.READY)
        _serve(relay, stream, keeper)
        relay.stop()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _serve(relay: Relay, stream: socket.socket, keeper: Channel) -> None:
    """Pass on what the relay says, until it ends or the keeper is gone."""
    poller = select.poll()
    poller.register(relay, select.POLLIN)
    poller.register(keeper, select.POLLIN)
    told = ""
    while True:
        ready = poller.poll(TRAFFIC_S * 1000)
        for text in relay.take():
            keeper.send(Word.NOTICE, text)
        why, words = relay.ended()
        traffic = pack_traffic(_traffic_of(relay, stream))
        if traffic != told and (why is not RelayEnd.RUNS or not ready):
            told = traffic
            keeper.send(Word.TRAFFIC, traffic)
        if why is not RelayEnd.RUNS:
            keeper.send(*_ending(why, words))
            return
        if any(file == keeper.fileno() for file, _ in ready) and keeper.receive() is None:
            return


def _ending(why: RelayEnd, words: str) -> tuple[Word, str]:
    if why in _LINK_ENDS or why is RelayEnd.KERNEL_CLOSED:
        return Word.LINK_ENDED, words
    if why is RelayEnd.SERVER_NONSENSE:
        return Word.ENDED, "the server broke the protocol: the device is detached"
    who = "vhci_hcd broke the protocol" if why is RelayEnd.KERNEL_NONSENSE else words
    return Word.ENDED, f"the worker failed: {who}"


def _traffic_of(relay: Relay, stream: socket.socket) -> Traffic:
    moved = relay.statistics()
    return Traffic(
        bytes_in=moved.bytes_in,
        bytes_out=moved.bytes_out,
        urbs_in=moved.urbs_in,
        urbs_out=moved.urbs_out,
        discarded=moved.discarded,
        halts=moved.halts,
        errors=moved.errors,
        saved_round_trips=moved.saved,
        **connection_figures(stream),
    )
