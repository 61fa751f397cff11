"""Endpoint 0 of GadgetFS (drivers/usb/gadget/legacy/inode.c, `ep0_read`, `gadgetfs_setup`).

SET_CONFIGURATION and SET_INTERFACE arrive as requests; nothing tells of a resume. What makes this
dialect delicate is that one file is both the queue of events and the data stage of the request
whose event was read last:

* Until the gadget is bound a read fails with EINVAL.
* The kernel answers an OUT request with data by itself, as soon as the data is in, and its host may
  send the next request at once. If the data has not been fetched by then it is gone (EIDRM), and
  if not even the event has been read, so is that, silently. So the data is read at once, by a
  thread that goes before all others where that is permitted.
* After EIDRM the state is already that of the new request, whose event has not been read: any read
  is taken for its data stage. It cannot be served. It is stalled, and stalled again when its event
  comes, because reading the event sets the state once more; the host asks again. An OUT request
  with data gives its data first and its event afterwards, and is carried.
"""

import contextlib
import errno
import fcntl
import logging
import os
import select
import struct
import time
from enum import Enum, auto

from gadgetip.errors import GadgetipError
from gadgetip.gadget.host_events import HostEvent, HostEvents
from gadgetip.usb import Direction, SetupPacket

log = logging.getLogger(__name__)

NOT_YET_BOUND_S = 0.002
SETTLE_PAUSE_S = 0.001
SETTLE_LIMIT_S = 1.0
EVENT_LIMIT_S = 0.5
MAX_CONTROL_BYTES = 4096
REAL_TIME_PRIORITY = 1
_OVER = {errno.ESRCH, errno.ENODEV, errno.ENOENT, errno.EBADF}
"""What a read fails with when there is no gadget any more."""

_EVENT = struct.Struct("<8sI")
_CONNECT, _DISCONNECT, _SETUP, _SUSPEND = 1, 2, 3, 4


class _Settled(Enum):
    """What has become of a request whose event is still to come."""

    NONE = auto()
    STALLED = auto()
    TAKEN = auto()
    """Its data is here."""


class GadgetFsEvents(HostEvents):
    """See `gadgetip.gadget.host_events.HostEvents`."""

    def __init__(self, file: int) -> None:
        super().__init__(file)
        self._settled = _Settled.NONE
        self._settled_at = 0.0
        self._data = b""
        self._suspended = False
        self._connected = False

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME_PRIORITY))
        super()._serve()

    def _is_passing(self, error: OSError) -> bool:
        if error.errno == errno.EIDRM:
            self._settle()
        elif error.errno == errno.EINVAL:
            time.sleep(NOT_YET_BOUND_S)
        elif error.errno in _OVER:
            return False
        return True

    def _take(self, data: bytes) -> None:
        value, kind = _EVENT.unpack(data)
        if self._suspended and kind != _SUSPEND:
            # Nothing tells of a resume; what the host does next does.
            self._suspended = False
            self._handler.event(HostEvent.RESUME, 0)
        if kind == _SETUP:
            self._take_setup(SetupPacket.unpack(value))
        elif kind == _CONNECT:
            self._settled = _Settled.NONE
            if self._connected:
                # The kernel drops a DISCONNECT that was not read in time (inode.c, `next_event`).
                self._handler.event(HostEvent.DISCONNECT, 0)
            self._connected = True
        elif kind == _DISCONNECT:
            self._settled = _Settled.NONE
            self._connected = False
            self._handler.event(HostEvent.DISCONNECT, 0)
        elif kind == _SUSPEND:
            self._suspended = True
            self._handler.event(HostEvent.SUSPEND, 0)

    def _take_setup(self, setup: SetupPacket) -> None:
        settled, self._settled = self._settled, _Settled.NONE
        if time.monotonic() > self._settled_at + EVENT_LIMIT_S:
            # What was settled was a request that the kernel answers and tells nothing of.
            settled = _Settled.NONE
        has_data = setup.direction is Direction.OUT and setup.wLength > 0
        if settled is _Settled.TAKEN and has_data:
            self._answer_out(setup, self._data[: setup.wLength])
        elif settled is _Settled.STALLED and not has_data:
            log.info("%s: stalled, for the one before it was still under way", setup)
            self._stall(setup)
        else:
            self._answer(setup)

    def _answer(self, setup: SetupPacket) -> None:
        if setup.direction is Direction.OUT and setup.wLength:
            try:
                data = os.read(self._file, setup.wLength)
            except OSError:
                self._handler.lost(setup)
                raise
            self._answer_out(setup, data)
        elif setup.direction is Direction.IN and not setup.wLength:
            # An IN request without data is acknowledged by a write of nothing here.
            try:
                self._handler.request(setup, b"")
            except GadgetipError as error:
                log.info("%s: %s", setup, error)
                self._stall(setup)
            else:
                self._ep0.write(b"")
        else:
            super()._answer(setup)

    def _stall(self, setup: SetupPacket) -> None:
        """Stall a request; SET_CONFIGURATION cannot be, and is acknowledged: it must end somehow.

        Left as it is, the file would wait for its data stage for ever (`setup_can_stall`).
        """
        try:
            super()._stall(setup)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
            os.read(self._file, 0)

    def _settle(self) -> None:
        """Bring the request that cancelled another one to its end; see the head of this module."""
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        deadline = time.monotonic() + SETTLE_LIMIT_S
        try:
            while self._settled is _Settled.NONE and time.monotonic() < deadline:
                if self._poll() & select.POLLIN:
                    break  # the host has gone on meanwhile: events wait, and no data stage
                self._settled = self._try_to_settle()
        finally:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags)
        self._settled_at = time.monotonic()
        log.debug("a request cancelled another one: %s", self._settled.name)

    def _poll(self) -> int:
        """What the file is ready for: POLLIN is for events alone (`ep0_poll`)."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        return next((mask for _, mask in poll.poll(0)), 0)

    def _try_to_settle(self) -> _Settled:
        try:
            self._data = os.read(self._file, MAX_CONTROL_BYTES)
        except OSError as error:
            if error.errno == errno.EL2HLT:
                return _Settled.STALLED
            if error.errno != errno.EAGAIN:
                time.sleep(SETTLE_PAUSE_S)
                return _Settled.NONE
        else:
            return _Settled.TAKEN
        try:
            os.write(self._file, b"")
        except OSError as error:
            if error.errno == errno.EL2HLT:
                return _Settled.STALLED
        time.sleep(SETTLE_PAUSE_S)
        return _Settled.NONE
