"""The worker: carries the traffic of one replica, without privileges.

It is born with everything open: the stream to the server, endpoint 0, the channel to its keeper,
and the way to the endpoint files; what else its keeper has is closed to it. It ends when the keeper
says so or is gone, when the link ends, or when the controller is taken away; it never tears
anything down, that is the keeper's.

What the host does arrives on the threads of endpoint 0, as events and as control requests. Both go
through one queue and are handled strictly one after the other: a request that came behind a reset
must not act before it.

Where the plan holds the replica, a link that ends is not the end. The pump keeps the host waiting
(`PythonPump.suspend`), what the host does waits in the queue, and the keeper looks for the device.
When it sends the stream of a new import, the device is brought to where the host left it, and all
go on. A control request is not kept waiting for longer than a device may think about one.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from gadgetip.attachment.channel import Channel, Word
from gadgetip.attachment.confinement import drop_privileges
from gadgetip.attachment.controller_state import ControllerState
from gadgetip.attachment.counting import count_traffic
from gadgetip.attachment.device_state import DeviceState
from gadgetip.attachment.held_device import HeldDevice
from gadgetip.attachment.traffic import pack_traffic
from gadgetip.attachment.upcoming_events import QueuedEvent, UpcomingEvents
from gadgetip.errors import GadgetipError
from gadgetip.gadget import HostEvent, Plan, Replica
from gadgetip.pump import (
    PumpChoice,
    UrbStream,
    pump_for,
    require_pump,
    shelter_requests,
    stream_for,
)
from gadgetip.usb import SetupPacket, Speed

log = logging.getLogger(__name__)

STOP_LIMIT_S = 3.0
DECONFIGURED_AFTER_S = 0.3
WAKEUP_POLL_S = 0.02
TRAFFIC_S = 1.0
MAX_REFERENCES = 2**31
"""What some kernels may keep of this process before it makes way for another: half of what they can
count (`gadgetip.pump.request_queue`)."""
SWITCH_INTERVAL_S = 0.0005
WORN_OUT = (
    "the replica has to be plugged in anew after so many requests (2^31), for some kernels lose "
    "count of them later on"
)


@dataclass(slots=True)
class _Request:
    setup: SetupPacket
    data: bytes
    answer: "concurrent.futures.Future[bytes]"


class Worker:
    """Runs in the worker process; see the head of this module."""

    def __init__(self, urbs: UrbStream, replica: Replica, plan: Plan, keeper: Channel) -> None:
        self._urbs = urbs
        self._replica = replica
        self._plan = plan
        self._keeper = keeper
        self._work: asyncio.Queue[QueuedEvent | _Request] = asyncio.Queue()
        self._upcoming = UpcomingEvents()
        self._ended = asyncio.Event()
        self._disables = 0
        self._suspended = False
        self._linked = asyncio.Event()
        self._linked.set()
        self._turn = asyncio.Lock()
        """Who has it may change the device's state: what the host does, or the link coming back."""
        self._held: HeldDevice | None = None
        self._traffic_told = ""
        self._leaving = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop

    async def run(self) -> None:
        """Serve until the end."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._callback_failed)
        threading.excepthook = self._thread_failed
        self._pump = pump_for(
            self._urbs,
            self._replica.endpoints,
            self,
            control_limit_s=self._plan.control_limit_s,
            may_hold=self._plan.hold is not None,
        )
        self._pump.attach()
        if self._plan.hold is not None:
            self._held = HeldDevice(
                self._plan.hold,
                self._urbs,
                self._pump,
                control_limit_s=self._plan.control_limit_s,
                noticed=self.noticed,
            )
        self._controller = ControllerState(self._replica.udc, self._controller_gone)
        self._controller.attach()
        self._device = DeviceState(
            self._plan,
            self._replica,
            self._urbs,
            self._pump,
            self._controller,
            said=lambda text: self._keeper.send(Word.HOST, text),
            noticed=self.noticed,
            configured=self._configured,
            held=self._held,
            is_over=self._upcoming.have_ended,
        )
        self._loop.add_reader(self._keeper.fileno(), self._keeper_spoke)
        for events in self._replica.events:
            events.start(self)
        following = self._spawn(self._follow())
        following.add_done_callback(self._following_ended)
        self._keeper.send(Word.READY)
        self._report_traffic()
        await self._ended.wait()

    # --- the pump's listener, on the loop ----------------------------------------------------

    def link_ended(self, reason: str) -> None:
        """The stream ended: so does this worker, unless the replica is held."""
        if self._held is None:
            self._end(Word.LINK_ENDED, reason)
            return
        if self._ended.is_set():
            return
        self._linked.clear()
        self._urbs.stream.close()  # the server may be waiting for that, to give the device again
        self._held.link_lost()
        self._keeper.send(Word.LINK_ENDED, reason)

    def device_gone(self) -> None:
        """The device left its port; the stream will end as well."""
        self._end(Word.DEVICE_GONE, "the server says that the device is gone")

    def noticed(self, text: str) -> None:
        """Pass a notice on to the people at the keeper's terminal."""
        self._keeper.send(Word.NOTICE, text)

    # --- endpoint 0's handler, on its threads -------------------------------------------------

    def event(self, event: HostEvent, configuration: int) -> None:
        """Queue what the host did; a reset is told from the controller's state, right now."""
        if event is HostEvent.DISABLE:
            self._controller.look()
        elif event is HostEvent.DISCONNECT:
            self._controller.note_reset()
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process is ending
            self._upcoming.add(
                QueuedEvent(event, configuration),
                lambda each: self._loop.call_soon_threadsafe(self._work.put_nowait, each),
            )

    def request(self, setup: SetupPacket, data: bytes) -> bytes:
        """Carry a control request to the device and wait for its answer."""
        work = _Request(setup, data, concurrent.futures.Future())
        try:
            self._loop.call_soon_threadsafe(self._accept, work)
        except RuntimeError:  # the loop is closed
            raise GadgetipError("the worker is ending") from None
        return work.answer.result()

    def lost(self, setup: SetupPacket) -> None:
        """Say that a request of the host was lost."""
        text = f"a control request was lost, though the host was told that it succeeded: {setup}"
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.noticed, text)

    # --- what the host does, in order ---------------------------------------------------------

    def _accept(self, work: _Request) -> None:
        self._work.put_nowait(work)
        if self._held is not None:
            self._loop.call_later(self._plan.control_limit_s, self._overdue, work)

    def _overdue(self, work: _Request) -> None:
        """Stall a request that waits for a lost link: its host will not wait for ever."""
        if work.answer.done():
            return
        if self._linked.is_set():  # it waits for something else, but the link may be lost yet
            self._loop.call_later(self._plan.control_limit_s, self._overdue, work)
        else:
            work.answer.set_exception(GadgetipError("the link to the server is lost"))

    async def _follow(self) -> None:
        while True:
            work = await self._work.get()
            while not await self._carry_out(work):
                pass  # the link was lost in the middle, and is awaited

    async def _carry_out(self, work: QueuedEvent | _Request) -> bool:
        """Do one thing that the host wants; False if the link was lost and it is to be done again.

        A request that may not be made twice is stalled then.
        """
        await self._linked.wait()
        async with self._turn:
            try:
                if isinstance(work, _Request):
                    await self._serve(work)
                else:
                    log.debug("the host: %s", work.event.name)
                    await self._heard(work)
            except GadgetipError:
                if self._held is None or self._urbs.ended is None:
                    raise
                return False
        return True

    async def _serve(self, work: _Request) -> None:
        if work.answer.done():  # it was overdue
            return
        try:
            answer = await self._device.request(work.setup, work.data)
        except GadgetipError as error:
            held = self._held
            if held is not None and self._urbs.ended is not None and held.may_repeat(work.setup):
                raise
            if not work.answer.done():
                work.answer.set_exception(error)
        except BaseException:
            if not work.answer.done():
                work.answer.set_exception(GadgetipError("the worker failed"))
            raise
        else:
            if not work.answer.done():
                work.answer.set_result(answer)

    async def _resume(self, stream: socket.socket, text: str) -> None:
        """The device is here again, over another stream."""
        link = json.loads(text)
        async with self._turn:
            self._pump.relink(stream, int(link["devid"]), int(link["next_seqnum"]))
            try:
                self._controller.look()
                if self._controller.reset_seen:
                    # What the host did waits in the queue; nothing of before is to be repeated.
                    await self._device.disabled()
                await self._device.restore()
                await self._pump.resume()
            except GadgetipError as error:
                if self._urbs.ended is None:
                    self._end(Word.REPLACED, str(error))
                return
            if self._urbs.ended is None:
                self._linked.set()
                self._keeper.send(Word.RESUMED)

    def _configured(self, speed: Speed | None) -> None:
        self._keeper.send(Word.CONFIGURED, speed.kernel_name if speed is not None else "")

    def _report_traffic(self) -> None:
        """Tell what has moved, once a second while it changes."""
        self._loop.call_later(TRAFFIC_S, self._report_traffic)
        text = pack_traffic(count_traffic(self._pump.statistics, self._urbs.stream))
        if text != self._traffic_told:
            self._traffic_told = text
            self._keeper.send(Word.TRAFFIC, text)
        if self._pump.references >= MAX_REFERENCES and self._linked.is_set() and not self._leaving:
            self._leaving = True
            self._spawn(self._finish(WORN_OUT))

    async def _heard(self, work: QueuedEvent) -> None:
        self._upcoming.begin(work)
        event = work.event
        if event is HostEvent.ENABLE:
            self._disables += 1
            self._suspended = False
            # A reset is one even where the kernel dropped its DISABLE for the ENABLE behind it.
            chosen_again = self._device.configuration == work.configuration
            if chosen_again and not self._controller.reset_seen:
                await self._device.settings_chosen()
            else:
                await self._device.configure(work.configuration)
        elif event is HostEvent.DISABLE:
            # Another configuration's may come late: each has an endpoint 0 of its own.
            if self._device.configuration in {0, work.configuration}:
                await self._device.disabled()
                self._disables += 1
                self._suspended = False
                self._spawn(self._deconfigured_later(self._disables))
        elif event is HostEvent.DISCONNECT:
            self._suspended = False
            await self._device.disabled()
        elif event is HostEvent.DECONFIGURED:
            if work.configuration == self._disables and not self._controller.reset_seen:
                await self._device.deconfigured()
        elif event is HostEvent.SUSPEND:
            self._suspended = True
            if self._replica.wakeup is not None:
                self._spawn(self._wake_host_up_for_data(self._replica.wakeup))
        elif event is HostEvent.RESUME:
            self._suspended = False
        elif event is HostEvent.GONE:
            self._controller_gone()

    async def _deconfigured_later(self, disables: int) -> None:
        """A disabled replica that was not reset, and is not enabled again, was deconfigured."""
        await asyncio.sleep(DECONFIGURED_AFTER_S)
        self._work.put_nowait(QueuedEvent(HostEvent.DECONFIGURED, disables))

    async def _wake_host_up_for_data(self, wakeup: int) -> None:
        """Wake a host that sleeps as soon as the device has something to say (USB 2.0, 7.1.7.7)."""
        before = self._arrived()
        while self._suspended and not self._ended.is_set():
            if self._arrived() != before:
                before = self._arrived()
                try:
                    os.pwrite(wakeup, b"1", 0)
                except OSError as error:
                    # The host has not enabled it, or is awake by now.
                    log.debug("remote wakeup: %s", error)
            await asyncio.sleep(WAKEUP_POLL_S)

    def _arrived(self) -> int:
        return sum(each.urbs for at, each in self._pump.statistics.items() if at & 0x80)

    # --- the end ------------------------------------------------------------------------------

    def _controller_gone(self) -> None:
        self._end(Word.ENDED, "the controller was taken away from the replica")

    def _keeper_spoke(self) -> None:
        message = self._keeper.receive()
        if message is None:
            self._ended.set()
        elif message.word is Word.STOP:
            self._spawn(self._finish("stopped"))
        elif message.word is Word.STREAM and message.stream is not None:
            resuming = self._spawn(self._resume(message.stream, message.text))
            resuming.add_done_callback(self._following_ended)

    async def _finish(self, reason: str) -> None:
        """End in order: what the host was told is written is confirmed first, if it can be."""
        if lost := await self._pump.finish(STOP_LIMIT_S):
            self.noticed(f"{lost} bytes were taken from the host and not confirmed by the device")
        self._end(Word.ENDED, reason)

    def _spawn(self, steps: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(steps)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _following_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the worker failed", exc_info=error)
            text = str(error) if isinstance(error, GadgetipError) else repr(error)
            self._end(Word.ENDED, f"the worker failed: {text}")

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that failed has lost what it was given: end, rather than hang the host."""
        loop.default_exception_handler(context)
        reason = context.get("exception") or context["message"]
        self._end(Word.ENDED, f"the worker failed: {reason!r}")

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        """Without its endpoint 0 thread the replica would leave every request unanswered."""
        context = {"message": "endpoint 0 failed", "exception": failure.exc_value}
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process is ending
            self._loop.call_soon_threadsafe(self._callback_failed, self._loop, context)

    def _end(self, word: Word, text: str) -> None:
        if not self._ended.is_set():
            self._keeper.send(word, text)
            self._ended.set()


def run_worker(
    urbs: UrbStream, replica: Replica, plan: Plan, keeper: Channel, pump: PumpChoice
) -> int:
    """The whole life of the worker process; returns its exit status."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    # Endpoint 0 has a thread that must not wait for the others (`gadgetip.gadget.gadgetfs_events`).
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_RTPRIO, (1, 1))
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    require_pump(pump)  # loads its module, which a user without privileges may not be able to
    drop_privileges()
    shelter_requests(pump)
    urbs = stream_for(pump, urbs)

    async def live() -> None:
        await Worker(urbs, replica, plan, keeper).run()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(live())
    return 0
