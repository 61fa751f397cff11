"""The thread that carries one session: it waits for the socket and the device alike.

One poll for everything, then whatever is ready is done to its end: what the client sent is
submitted, what the device finished is answered, and all answers that have gathered go out in one
call. Nothing in the thread blocks for long but libusb's own calls (a reset takes some 100 ms), and
those only keep their own client waiting, as in the kernel's stub.

At the end, whatever its reason: the socket is closed first, so that the client knows; then what is
in flight is settled, and the device is made usable for the next client. Both are bounded.
"""

import asyncio
import contextlib
import os
import select
import socket
import threading
from typing import Final, Protocol

from gadgetip.errors import GadgetipError, RemoteProtocolError
from gadgetip.server.stub import Session
from gadgetip.server.userspace.session import UrbSession
from gadgetip.server.userspace.urb import DeviceLostError, UsbDevice
from gadgetip.server.userspace.usbfs_memory import session_share
from gadgetip.wire import ServerConnection

RECEIVE_BYTES: Final = 16384
"""What one recv takes; more only if the message being received is longer."""

MOST_RECEIVED_BYTES: Final = 262_144
RETRY_S: Final = 0.05
"""How often it is tried again to submit what waits for memory."""

MOST_PARTS: Final = 512
"""How many pieces one sendmsg takes (the kernel's limit is IOV_MAX, 1024)."""

_READABLE: Final = select.EPOLLIN
_WRITABLE: Final = select.EPOLLOUT

UNPLUGGED: Final = "the device was unplugged"
DISCONNECTED: Final = "the client has disconnected"
ENDED: Final = "ended by this server"


class PolledDevice(UsbDevice, Protocol):
    """A device that shows in a poll that it has something to say."""

    @property
    def files(self) -> list[tuple[int, int]]:
        """What to poll: files, and poll's events."""

    def note_events(self, events: int) -> None:
        """Hear what a poll found at one of them."""

    def lose(self) -> None:
        """Take it for gone, so that it is opened anew for the next client."""

    def restore(self) -> None:
        """Make the device usable for the next client; raises `DeviceLostError`."""


class CarriedSession(Session):
    """One client's use of one device, in a thread of its own."""

    def __init__(self, device: PolledDevice, stream: socket.socket, devid: int, busid: str) -> None:
        self._device = device
        self._stream = stream
        self._session = UrbSession(
            device, ServerConnection.after_import(devid), max_device_bytes=session_share()
        )
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_asked_to_end = False
        self._lock = threading.Lock()  # for the life of _wake
        self._thread = threading.Thread(target=self._run, name=f"urbs of {busid}", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether the device is free for the next client."""
        return self._ended.done()

    async def wait(self) -> str:
        """Wait until the device is free for the next client; returns why, in a few words."""
        return await asyncio.shield(self._ended)

    def end(self) -> None:
        """Ask the session to end: what is in flight is settled, then `wait` returns."""
        self._is_asked_to_end = True
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        try:
            reason = self._carry()
        except DeviceLostError as error:
            reason = str(error)
        except RemoteProtocolError as error:
            reason = f"the client broke the protocol: {error}"
        except GadgetipError as error:
            reason = f"an error of the stub: {error}"
        except OSError as error:
            reason = f"the client is gone: {error.strerror}"
        except Exception as error:  # a device must not stay in use for a bug of ours
            reason = f"an error of the stub: {error!r}"
        try:
            reason = self._tidy_up(reason)
        finally:
            with self._lock:
                os.close(self._wake)
                self._wake = -1
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._ended.set_result, reason)

    def _tidy_up(self, reason: str) -> str:
        """Leave the device to the next client; returns why the session ended."""
        try:
            self._stream.close()
            self._session.settle()
            if self._device.is_lost:
                return UNPLUGGED if reason == DISCONNECTED else reason
            self._device.restore()
        except GadgetipError as error:
            self._device.lose()
            return f"{reason}; {error}"
        except Exception as error:  # nor for one here; what it is in now is not known
            self._device.lose()
            return f"{reason}; an error of the stub: {error!r}"
        return reason

    def _carry(self) -> str:
        """Carry URBs until there is a reason to end."""
        session, device = self._session, self._device
        socket_file = self._stream.fileno()
        poll = select.epoll()
        interest = _READABLE
        with contextlib.closing(poll):
            poll.register(socket_file, interest)
            poll.register(self._wake, select.EPOLLIN)
            for file, events in device.files:
                poll.register(file, events)
            while True:
                for file, events in poll.poll(RETRY_S if session.is_holding else None):
                    if file == socket_file:
                        if events & ~_WRITABLE:
                            self._receive()
                    elif file == self._wake:
                        return ENDED
                    else:
                        device.note_events(events)
                        session.collect()
                if session.is_holding:
                    session.collect()
                if session.output_bytes:
                    self._send()
                if device.is_lost:
                    return UNPLUGGED
                if session.is_closed:
                    return DISCONNECTED
                wish = (_READABLE if not session.is_clogged else 0) | (
                    _WRITABLE if session.output_bytes else 0
                )
                if wish != interest:
                    interest = wish
                    poll.modify(socket_file, interest)

    def _receive(self) -> None:
        size = min(max(self._session.wanted, RECEIVE_BYTES), MOST_RECEIVED_BYTES)
        try:
            data = self._stream.recv(size)
        except BlockingIOError:
            return
        self._session.receive(data)

    def _send(self) -> None:
        """Send as much of the output as the socket takes."""
        session = self._session
        output = session.output()
        while output:
            batch = output if len(output) <= MOST_PARTS else output[:MOST_PARTS]
            try:
                sent = self._stream.sendmsg(batch)
            except BlockingIOError:
                return
            if sent == session.output_bytes:
                session.sent(len(output))
                return
            done = 0
            while done < len(batch) and sent >= len(batch[done]):
                sent -= len(batch[done])
                done += 1
            if sent:
                session.sent(done + 1, memoryview(batch[done])[sent:])
            else:
                session.sent(done)
