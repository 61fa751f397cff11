"""The worker: carries the traffic of one replica, without privileges.

It is born with everything open: the stream to the server, endpoint 0, the endpoint files, the
channel to its keeper. It ends when the keeper says so or is gone, when the link ends, or when the
controller is taken away; it never tears anything down, that is the keeper's.

What the host does arrives as events of endpoint 0, handled strictly one after the other:

* ENABLE: the host has configured the replica. The first time the device is ready for it; later it
  may be in the middle of something that the host no longer believes in, so it is configured anew,
  and reset before that if the host reset the replica.
* DISABLE: reset, deconfiguration or unplug. Everything in flight is cancelled and awaited.

A bus reset and a deconfiguration look the same here; the controller's state in sysfs tells them
apart: only a reset makes it leave "addressed" and "configured".
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import pwd
import select
import signal
import threading
from collections.abc import Coroutine
from typing import Any

from gadgetip.attachment.channel import Channel, Word
from gadgetip.errors import GadgetipError
from gadgetip.gadget import ControlEndpoint, ControlEvent, Plan, Replica
from gadgetip.gadget.udc import current_speed, state_file
from gadgetip.pump import ControlTimeoutError, PythonPump, StallError, UrbStream
from gadgetip.usb import Recipient, SetupPacket, Speed

log = logging.getLogger(__name__)

STOP_LIMIT_S = 3.0
CONTROL_LIMIT_S = 5.0
UNPRIVILEGED_USER = "nobody"
CONFIGURED_STATES = frozenset({"configured", "addressed", "suspended"})


class Worker:
    """Runs in the worker process; see the head of this module."""

    def __init__(self, urbs: UrbStream, replica: Replica, plan: Plan, keeper: Channel) -> None:
        self._urbs = urbs
        self._replica = replica
        self._plan = plan
        self._keeper = keeper
        self._events: asyncio.Queue[ControlEvent] = asyncio.Queue()
        self._busy = asyncio.Lock()
        self._ended = asyncio.Event()
        self._enabled_before = False
        self._reset_seen = False
        self._loop: asyncio.AbstractEventLoop

    async def run(self) -> None:
        """Serve until the end."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._callback_failed)
        threading.excepthook = self._thread_failed
        self._pump = PythonPump(
            self._urbs, self._replica.endpoints, self, control_limit_s=CONTROL_LIMIT_S
        )
        self._pump.attach()
        self._loop.add_reader(self._keeper.fileno(), self._keeper_spoke)
        self._watch_state()
        ControlEndpoint(self._replica.ep0, self).start()
        following = self._loop.create_task(self._follow_events())
        following.add_done_callback(self._following_ended)
        self._keeper.send(Word.READY)
        await self._ended.wait()

    # --- the pump's listener, on the loop ----------------------------------------------------

    def link_ended(self, reason: str) -> None:
        """The stream ended: so does this worker."""
        self._end(Word.LINK_ENDED, reason)

    def device_gone(self) -> None:
        """The device left its port; the stream will end as well."""
        self._end(Word.LINK_ENDED, "the server says that the device is gone")

    def noticed(self, text: str) -> None:
        """Pass a notice on to the people at the keeper's terminal."""
        self._keeper.send(Word.NOTICE, text)

    # --- endpoint 0's handler, on its thread --------------------------------------------------

    def event(self, event: ControlEvent) -> None:
        """Queue what the host did; a reset is told from the controller's state, right now."""
        if event is ControlEvent.DISABLE:
            self._note_state()
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process is ending
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def request(self, setup: SetupPacket, data: bytes) -> bytes:
        """Carry a control request to the device and wait for its answer."""
        carrying = self._carry(setup, data)
        try:
            answer = asyncio.run_coroutine_threadsafe(carrying, self._loop)
        except RuntimeError:  # the loop is closed
            carrying.close()
            raise GadgetipError("the worker is ending") from None
        try:
            return answer.result()
        except concurrent.futures.CancelledError:
            raise GadgetipError("the worker is ending") from None

    async def _carry(self, setup: SetupPacket, data: bytes) -> bytes:
        async with self._busy:
            return await self._pump.control(self._translate(setup), data)

    def _translate(self, setup: SetupPacket) -> SetupPacket:
        """Put the device's own numbers into wIndex, where FunctionFS has put its indices.

        An interface is given as its index, an endpoint as its position behind the descriptors,
        counted from 1 (f_fs.c, `ffs_func_setup`, `ffs_func_revmap_ep`).
        """
        index = setup.wIndex & 0xFF
        if setup.recipient is Recipient.INTERFACE and index < len(self._plan.interfaces):
            own = self._plan.interfaces[index]
        elif setup.recipient is Recipient.ENDPOINT and 0 < index <= len(self._replica.endpoints):
            own = list(self._replica.endpoints)[index - 1]
        else:
            return setup
        return SetupPacket(
            setup.bmRequestType,
            setup.bRequest,
            setup.wValue,
            setup.wIndex & 0xFF00 | own,
            setup.wLength,
        )

    # --- what the host does, in order ---------------------------------------------------------

    async def _follow_events(self) -> None:
        while True:
            event = await self._events.get()
            log.debug("the host: %s", event.name)
            if event is ControlEvent.ENABLE:
                async with self._busy:
                    await self._enable()
            elif event in {ControlEvent.DISABLE, ControlEvent.UNBIND}:
                async with self._busy:
                    await self._pump.stop()
                if event is ControlEvent.UNBIND:
                    self._end(Word.ENDED, "the controller was taken away from the replica")

    async def _enable(self) -> None:
        await self._pump.stop()
        reset, self._reset_seen = self._reset_seen, False
        if self._enabled_before:
            await self._make_device_believe(reset=reset)
        self._enabled_before = True
        speed = current_speed(self._replica.udc)
        routes = self._plan.routes.get(speed)
        if routes is None:
            speed, routes = self._plan.speed, self._plan.routes[self._plan.speed]
        self._keeper.send(Word.HOST, f"the host configured the replica at {speed.mbps_text}")
        if speed < self._plan.speed:
            self._warn_of_packet_sizes(speed)
        await self._pump.start(routes)

    async def _make_device_believe(self, *, reset: bool) -> None:
        """Bring the device to where the host believes it is: freshly configured."""
        requests = [SetupPacket.set_configuration(self._plan.configuration_value)]
        if reset:
            requests.insert(0, SetupPacket.port_reset())
        for setup in requests:
            try:
                await self._urbs.control(setup, limit_s=CONTROL_LIMIT_S)
            except (StallError, ControlTimeoutError) as error:
                self.noticed(f"the device did not take {setup}: {error}")

    def _warn_of_packet_sizes(self, speed: Speed) -> None:
        opaque = [
            f"0x{route.address:02x}"
            for route in self._plan.routes[speed]
            if route.device_max_packet != route.host_max_packet and route.shaping != "bot"
        ]
        if opaque:
            self.noticed(
                f"at {speed.mbps_text} the packets of {', '.join(opaque)} have another size than "
                "the device's: transfers on them may hang"
            )

    # --- the controller's state ---------------------------------------------------------------

    def _watch_state(self) -> None:
        """Look at the state at each of its changes (sysfs_notify: POLLPRI, nothing else)."""
        self._state = os.open(state_file(self._replica.udc), os.O_RDONLY | os.O_CLOEXEC)
        self._note_state()
        self._state_poll = select.epoll()
        self._state_poll.register(self._state, select.EPOLLPRI)
        self._loop.add_reader(self._state_poll.fileno(), self._state_changed)

    def _state_changed(self) -> None:
        self._state_poll.poll(0)
        self._note_state()

    def _note_state(self) -> None:
        try:
            state = os.pread(self._state, 64, 0).decode("ascii", "replace").strip()
        except OSError:
            return  # the controller is gone; UNBIND tells
        if state not in CONFIGURED_STATES:
            self._reset_seen = True

    # --- the end ------------------------------------------------------------------------------

    def _keeper_spoke(self) -> None:
        message = self._keeper.receive()
        if message is None:
            self._ended.set()
        elif message.word is Word.STOP:
            self._spawn(self._stop())

    async def _stop(self) -> None:
        if lost := await self._pump.finish(STOP_LIMIT_S):
            self.noticed(f"{lost} bytes were taken from the host and not confirmed by the device")
        self._end(Word.ENDED, "stopped")

    def _spawn(self, steps: Coroutine[Any, Any, None]) -> None:
        self._stopping = self._loop.create_task(steps)

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


def run_worker(urbs: UrbStream, replica: Replica, plan: Plan, keeper: Channel) -> int:
    """The whole life of the worker process; returns its exit status."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    _drop_privileges()

    async def live() -> None:
        await Worker(urbs, replica, plan, keeper).run()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(live())
    return 0


def _drop_privileges() -> None:
    """Become nobody: everything that this process needs is open."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
