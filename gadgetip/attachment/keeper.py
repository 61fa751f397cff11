"""The keeper: the process that has the privileges, while the worker carries the traffic.

It waits. For the worker to be ready, which is when the replica may be bound; for what the worker
has to say; for the worker's death, however that comes; for the user's wish to stop. Where the
replica is held over the loss of its link, it imports the device anew (`Recall`) and gives the
worker the stream.
"""

import asyncio
import gc
import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import NoReturn

from gadgetip.attachment.channel import Channel, Message, MessageError, Word, channel
from gadgetip.attachment.confinement import let_go_of_all_but
from gadgetip.attachment.listener import Listener
from gadgetip.attachment.recalling import Recall
from gadgetip.attachment.stop_signals import STOP_SIGNALS
from gadgetip.attachment.traffic import parse_traffic
from gadgetip.attachment.worker import run_worker
from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.gadget import Plan, Replica
from gadgetip.pump import PumpChoice
from gadgetip.remote import ImportedDevice
from gadgetip.usb import Speed

READY_LIMIT_S = 20.0
STOP_LIMIT_S = 6.0
LEAVE_LIMIT_S = 2.0
RESUME_LIMIT_S = 5.0
"""What a device that was imported in time has to be brought back, past the limit if need be."""


class WorkerProcess:
    """The worker, as its keeper sees it: a process id, a channel, and a way to end it."""

    def __init__(
        self,
        imported: ImportedDevice,
        replica: Replica,
        plan: Plan,
        lock_file: int,
        pump: PumpChoice = PumpChoice.AUTO,
    ) -> None:
        """Fork it; beside what it carries the traffic with, it keeps `lock_file` open."""
        self.channel, worker_end = channel()
        self.pid = os.fork()
        if self.pid == 0:
            kept = {0, 1, 2, imported.stream.fileno(), worker_end.fileno(), lock_file}
            _live_as_worker(imported, replica, plan, pump, worker_end, kept | replica.files)
        worker_end.close()
        self.pidfd = os.pidfd_open(self.pid)
        self.status: int | None = None

    def reap(self) -> str:
        """Collect the worker; returns how it died, in words.

        It is dead or leaving: one that has said good-bye and stays is killed.
        """
        if self.status is None:
            gone, _, _ = select.select([self.pidfd], [], [], LEAVE_LIMIT_S)
            if not gone:
                os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(self.status):
            return f"killed by {signal.Signals(os.WTERMSIG(self.status)).name}"
        return f"exit status {os.WEXITSTATUS(self.status)}"

    def end(self) -> None:
        """Make sure that the worker is gone; one that is leaving by itself gets the time to."""
        self.channel.close()
        self.reap()
        os.close(self.pidfd)


def _speed_named(text: str) -> Speed | None:
    """The speed that a worker tells, which is not to be trusted; None where it is none."""
    try:
        return Speed.from_kernel_name(text)
    except GadgetipError:
        return None


def _live_as_worker(
    imported: ImportedDevice,
    replica: Replica,
    plan: Plan,
    pump: PumpChoice,
    channel: Channel,
    kept: set[int],
) -> NoReturn:
    """What the forked process does; it must never return into the keeper's code."""
    status = 1
    try:
        gc.freeze()
        let_go_of_all_but(kept)
        status = run_worker(imported.urbs(), replica, plan, channel, pump)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class Keeper:
    """Keeps one worker until it ends."""

    def __init__(
        self,
        worker: WorkerProcess,
        listener: Listener,
        recall: Recall | None = None,
    ) -> None:
        """With `recall` a lost link is survived for as long as that allows."""
        self._worker = worker
        self._listener = listener
        self._recall = recall
        self._lost_at: float | None = None
        self._recalling: asyncio.Task[None] | None = None
        self._ending: asyncio.Future[Message | None]
        self._ready = asyncio.Event()
        self._shown = False
        self._stopping = False

    async def keep(self, on_ready: Callable[[], None]) -> Message | None:
        """Call `on_ready` when the worker is, then wait; returns why it ended.

        None means that the user wanted it (SIGINT, SIGTERM, SIGHUP). Raises what `Recall` raises
        when a replica that was held is given up.
        """
        loop = asyncio.get_running_loop()
        self._ending = loop.create_future()
        loop.add_reader(self._worker.channel.fileno(), self._heard)
        for each in STOP_SIGNALS:
            loop.add_signal_handler(each, self._stop)
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                await asyncio.wait(
                    (loop.create_task(self._ready.wait()), self._ending),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        except TimeoutError:
            raise GadgetipError(f"the worker was not ready in {READY_LIMIT_S:.0f} s") from None
        try:
            if not self._ending.done():
                on_ready()
                self._shown = True
            return await self._ending
        finally:
            self._give_up_recalling()
            # When the loop closes, SIGTERM and SIGHUP have their default action again: to kill.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def _heard(self) -> None:
        try:
            message = self._worker.channel.receive()
        except BlockingIOError:
            return
        except MessageError as error:
            self._hear_no_more(f"the worker sent no message: {error}")
            return
        if message is None:
            self._hear_no_more(f"the worker died: {self._worker.reap()}")
        elif message.word in {Word.STOP, Word.STREAM}:
            self._hear_no_more(f"the worker said {message.word!s}, which is the keeper's word")
        else:
            self._take(message)

    def _take(self, message: Message) -> None:
        if message.word is Word.READY:
            self._ready.set()
        elif message.word is Word.HOST:
            self._listener.host(message.text)
        elif message.word is Word.NOTICE:
            self._listener.notice(message.text)
        elif message.word is Word.CONFIGURED:
            self._listener.configured(_speed_named(message.text))
        elif message.word is Word.TRAFFIC:
            if (traffic := parse_traffic(message.text)) is not None:
                self._listener.traffic(traffic)
        elif message.word is Word.LINK_ENDED and self._may_hold and self._recall is not None:
            self._hold(self._recall, message.text)
        elif message.word is Word.RESUMED:
            self._resumed()
        else:
            self._end(message)

    def _hear_no_more(self, reason: str) -> None:
        asyncio.get_running_loop().remove_reader(self._worker.channel.fileno())
        self._end(Message(Word.ENDED, reason))

    @property
    def _may_hold(self) -> bool:
        """Whether there is a host that would notice, and nobody who wants it to."""
        return self._shown and not self._stopping

    def _hold(self, recall: Recall, reason: str) -> None:
        """Look for the device; the limit counts from the first loss until the host may go on."""
        loop = asyncio.get_running_loop()
        self._give_up_recalling()  # it was lost again before the host could go on
        if self._lost_at is None:
            self._lost_at = loop.time()
            self._listener.held(reason, recall.limit_s)
        self._recalling = loop.create_task(self._call_back(recall, self._lost_at + recall.limit_s))
        self._recalling.add_done_callback(self._called_back)

    async def _call_back(self, recall: Recall, deadline: float) -> None:
        imported = await recall.again(deadline)
        link = {"devid": imported.record.devid, "next_seqnum": imported.next_seqnum}
        self._worker.channel.send_stream(imported.stream, json.dumps(link))
        # The worker brings the device back; one that cannot within the time that is left is lost.
        await asyncio.sleep(max(RESUME_LIMIT_S, deadline - asyncio.get_running_loop().time()))
        raise LinkLostError("the device is back, and did not get to where the host left it")

    def _called_back(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self._ending.done():
            return
        error = task.exception()
        if error is not None:
            self._ending.set_exception(error)

    def _give_up_recalling(self) -> None:
        if self._recalling is not None:
            self._recalling.cancel()
            self._recalling = None

    def _resumed(self) -> None:
        self._give_up_recalling()
        if self._lost_at is not None:
            self._listener.resumed(asyncio.get_running_loop().time() - self._lost_at)
            self._lost_at = None

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._give_up_recalling()
            self._worker.channel.send(Word.STOP)
            asyncio.get_running_loop().call_later(STOP_LIMIT_S, self._end, None)

    def _end(self, message: Message | None) -> None:
        if not self._ending.done():
            self._ending.set_result(None if self._stopping else message)
