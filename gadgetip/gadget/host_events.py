"""Endpoint 0 of a replica: what the host does, on a thread of its own.

Reading events waits for the host, and so do the data stages of control requests, whether the file
is non-blocking or not: this cannot live on an event loop. FunctionFS and GadgetFS speak two
dialects of one language. What is done for each request depends on its data stage:

    IN        write the answer; a read instead stalls
    OUT       read the data, which completes the request: the kernel sends the status stage by
              itself, so the device's judgement comes too late for the host and is only logged
    no data   read nothing to acknowledge, once the device has answered; a write instead stalls

A new SETUP cancels the one that is being served: the next call fails with EIDRM. All signals are
blocked in this thread, because an interrupted data stage is dequeued, which some controllers cannot
do (musb).
"""

import errno
import io
import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Protocol

import functionfs
from functionfs.functionfs import BIND, DISABLE, ENABLE, RESUME, SETUP, SUSPEND, UNBIND

from gadgetip.errors import GadgetipError
from gadgetip.usb import Direction, Recipient, SetupPacket

log = logging.getLogger(__name__)

EVENT_BYTES = 12


class HostEvent(Enum):
    """What the kernel tells of the host, beside control requests."""

    ENABLE = auto()
    """FunctionFS: the host has chosen the configuration, or a setting of an interface."""
    DISABLE = auto()
    """FunctionFS: it has not any more; a reset, a deconfiguration or an unplug."""
    DISCONNECT = auto()
    """GadgetFS: a reset or an unplug."""
    DECONFIGURED = auto()
    """Nobody tells: it was disabled, and neither reset nor enabled again."""
    SUSPEND = auto()
    RESUME = auto()
    GONE = auto()
    """The controller was taken away."""


_EVENTS = {
    ENABLE: HostEvent.ENABLE,
    DISABLE: HostEvent.DISABLE,
    SUSPEND: HostEvent.SUSPEND,
    RESUME: HostEvent.RESUME,
    UNBIND: HostEvent.GONE,
}
"""What FunctionFS calls them."""


class HostHandler(Protocol):
    """Who answers the host. Both are called on a thread of endpoint 0."""

    def event(self, event: HostEvent, configuration: int) -> None:
        """The host, or the controller, changed state; `configuration` as in `HostEvents`."""

    def request(self, setup: SetupPacket, data: bytes) -> bytes:
        """Carry a control request; a `GadgetipError` stalls it."""

    def lost(self, setup: SetupPacket) -> None:
        """The host was told that this request succeeded, and its data never came here."""


class _BorrowedEndpoint0(functionfs.Endpoint0File):  # type: ignore[misc]  # untyped library
    """Endpoint 0 over a file that the backend closes.

    The library's class would close it as well, whenever this object is collected: by then the
    number is another file's, where a process goes on with the next replica.
    """

    def __init__(self, file: int) -> None:
        io.FileIO.__init__(self, file, "r+", closefd=False)


class HostEvents(ABC):
    """Serves the ep0 file `file` until the process ends; `start` returns at once.

    `configuration` is the bConfigurationValue that its events are about, 0 where they are about
    the whole replica.
    """

    def __init__(self, file: int, configuration: int = 0) -> None:
        self._file = file
        self._ep0 = _BorrowedEndpoint0(file)
        self._configuration = configuration
        self._handler: HostHandler

    def start(self, handler: HostHandler) -> None:
        """Begin to serve."""
        self._handler = handler
        threading.Thread(target=self._serve, name="ep0", daemon=True).start()

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            try:
                data = os.read(self._file, EVENT_BYTES)
            except OSError as error:
                if self._is_passing(error):
                    continue
                log.info("endpoint 0 ended: %s", error)
                self._handler.event(HostEvent.GONE, self._configuration)
                return
            try:
                if len(data) == EVENT_BYTES:
                    self._take(data)
            except OSError as error:
                # EIDRM: the host gave up and sent another SETUP; ESHUTDOWN: it is gone.
                log.debug("endpoint 0: %s", error)
                self._is_passing(error)

    def _is_passing(self, error: OSError) -> bool:
        """Whether events go on after this failure to read one."""
        return error.errno in {errno.EIDRM, errno.EINTR, errno.EAGAIN}

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Act on one event as the kernel gives it."""

    def _answer(self, setup: SetupPacket) -> None:
        if setup.direction is Direction.OUT and setup.wLength:
            data = self._ep0.read(setup.wLength) or b""
            self._answer_out(setup, data)
            return
        try:
            answer = self._handler.request(setup, b"")
        except GadgetipError as error:
            log.info("%s: %s", setup, error)
            self._stall(setup)
            return
        if setup.direction is Direction.IN:
            self._ep0.write(answer[: setup.wLength])
        else:
            self._ep0.read(0)

    def _stall(self, setup: SetupPacket) -> None:
        try:
            self._ep0.halt(setup.bmRequestType)
        except ValueError as error:  # the kernel did not say that it stalled (EL2HLT)
            log.warning("%s: %s", setup, error)

    def _answer_out(self, setup: SetupPacket, data: bytes) -> None:
        try:
            self._handler.request(setup, data)
        except GadgetipError as error:
            log.warning("the host was told that this succeeded: %s: %s", setup, error)


class FunctionFsEvents(HostEvents):
    """The dialect of FunctionFS (drivers/usb/gadget/function/f_fs.c).

    In wIndex it gives an interface as its index and an endpoint as its position behind the
    descriptors, counted from 1 (`ffs_func_setup`, `ffs_func_revmap_ep`); `interfaces` and
    `addresses` are the device's own numbers in these orders.
    """

    def __init__(
        self, file: int, configuration: int, interfaces: Sequence[int], addresses: Sequence[int]
    ) -> None:
        super().__init__(file, configuration)
        self._interfaces = interfaces
        self._addresses = addresses

    def _take(self, data: bytes) -> None:
        kind = data[8]
        if kind == SETUP:
            self._answer(self._translate(SetupPacket.unpack(data[:8])))
        elif kind != BIND:
            self._handler.event(_EVENTS[kind], self._configuration)

    def _translate(self, setup: SetupPacket) -> SetupPacket:
        index = setup.wIndex & 0xFF
        if setup.recipient is Recipient.INTERFACE and index < len(self._interfaces):
            own = self._interfaces[index]
        elif (
            setup.recipient is Recipient.ENDPOINT
            and 0 < index <= len(self._addresses)
            and self._addresses[index - 1]
        ):
            own = self._addresses[index - 1]
        else:
            return setup
        return replace(setup, wIndex=setup.wIndex & 0xFF00 | own)


class FillerEvents(FunctionFsEvents):
    """A filler: what happens to the replica its function tells; here are stray requests alone.

    FunctionFS matches a request to an endpoint by its number, whichever way that goes.
    """

    def _take(self, data: bytes) -> None:
        if data[8] == SETUP:
            super()._take(data)
