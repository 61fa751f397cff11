"""Endpoint 0 of a FunctionFS replica: events and control requests, on a thread of their own.

Reading events waits for the host, and so do the data stages of control requests, whether the file
is non-blocking or not (drivers/usb/gadget/function/f_fs.c, `__ffs_ep0_queue_wait`): this cannot
live on an event loop. What is done for each request depends on its data stage:

    IN        write the answer; a read instead stalls
    OUT       read the data, which completes the request: the kernel sends the status stage by
              itself, so the device's judgement comes too late for the host and is only logged
    no data   read nothing to acknowledge, once the device has answered; a write instead stalls

A new SETUP cancels the one that is being served: the next call fails with EIDRM, and the events
are read again. All signals are blocked in this thread, because an interrupted data stage is
dequeued, which some controllers cannot do (musb).
"""

import errno
import logging
import signal
import threading
from enum import Enum
from typing import Protocol

import functionfs
from functionfs.functionfs import (
    BIND,
    DISABLE,
    ENABLE,
    RESUME,
    SETUP,
    SUSPEND,
    UNBIND,
    Event,
)

from gadgetip.errors import GadgetipError
from gadgetip.usb import Direction, SetupPacket

log = logging.getLogger(__name__)

MAX_EVENTS = 4


class ControlEvent(Enum):
    """What FunctionFS tells of the host, beside control requests."""

    BIND = BIND
    UNBIND = UNBIND
    ENABLE = ENABLE
    DISABLE = DISABLE
    SUSPEND = SUSPEND
    RESUME = RESUME


class ControlHandler(Protocol):
    """Who answers the host. Both are called on the thread of endpoint 0."""

    def event(self, event: ControlEvent) -> None:
        """The host, or the controller, changed state."""

    def request(self, setup: SetupPacket, data: bytes) -> bytes:
        """Carry a control request; a `GadgetipError` stalls it."""


class ControlEndpoint:
    """Serves the ep0 file `file` until the process ends; `start` returns at once."""

    def __init__(self, file: int, handler: ControlHandler) -> None:
        self._ep0 = functionfs.Endpoint0File(file)
        self._handler = handler
        self._thread = threading.Thread(target=self._serve, name="ep0", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        events = (Event * MAX_EVENTS)()
        while True:
            try:
                size = self._ep0.readinto(events)
            except OSError as error:
                if error.errno in {errno.EIDRM, errno.EINTR, errno.EAGAIN}:
                    continue
                log.info("endpoint 0 ended: %s", error)
                return
            for event in events[: (size or 0) // _EVENT_SIZE]:
                self._dispatch(event)

    def _dispatch(self, event: Event) -> None:
        if event.type != SETUP:
            self._handler.event(ControlEvent(event.type))
            return
        setup = SetupPacket.unpack(bytes(event.u.setup))
        try:
            self._answer(setup)
        except OSError as error:
            # EIDRM: the host gave up and sent another SETUP; ESHUTDOWN: it is gone.
            log.debug("%s: %s", setup, error)

    def _answer(self, setup: SetupPacket) -> None:
        if setup.direction is Direction.OUT and setup.wLength:
            data = self._ep0.read(setup.wLength) or b""
            try:
                self._handler.request(setup, data)
            except GadgetipError as error:
                log.warning("the host was told that this succeeded: %s: %s", setup, error)
            return
        try:
            answer = self._handler.request(setup, b"")
        except GadgetipError as error:
            log.info("%s: %s", setup, error)
            self._ep0.halt(setup.bmRequestType)
            return
        if setup.direction is Direction.IN:
            self._ep0.write(answer[: setup.wLength])
        else:
            self._ep0.read(0)


_EVENT_SIZE = 12
"""sizeof(struct usb_functionfs_event): include/uapi/linux/usb/functionfs.h."""
