"""The URBs of one imported device: many in flight over one stream.

A submit gets a sequence number and a callback; whatever becomes of it, the callback is called
exactly once, with the device's RET_SUBMIT or with one made here that says why there is none
(unlinked, or the link ended). An unlink is a question, not an order: the answer may cross it.
The rules for that race are the kernel's (drivers/usb/usbip/stub_rx.c, `stub_recv_cmd_unlink`):

* RET_UNLINK with a non-zero status: the URB is gone and no RET_SUBMIT follows;
* RET_UNLINK with 0: the URB had completed. Its RET_SUBMIT has come, or may still come, or is
  lost. The callback is not kept waiting for it; one that comes later is counted and dropped.

What is sent within one turn of the event loop leaves in one system call.
"""

import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.link import connection_info
from gadgetip.pump.batch import Batch
from gadgetip.pump.interface import ControlTimeoutError, StallError
from gadgetip.pump.link_errors import link_error
from gadgetip.usb import Direction, SetupPacket
from gadgetip.wire import (
    NEED_DATA,
    ClientConnection,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    RetSubmit,
    RetUnlink,
    TransferFlag,
)
from gadgetip.wire import Direction as WireDirection

log = logging.getLogger(__name__)

OnReturn = Callable[[RetSubmit], None]
RECEIVE_BYTES = 256 * 1024
MAX_SEND_BUFFERS = 64
NO_SETUP = bytes(8)
UNLINK_LIMIT_S = 5.0
UNLINK_ROUNDS = 3
"""How often that limit counts anew while it is the link that is silent: TCP ends that after 10 s
(`gadgetip.link.tcp`), and with the right words, or the link comes back."""
SCATTER_GATHER_ABOVE = 64 * 1024
"""Above this length the stub is asked to use a scatter list: a single kmalloc of that size may
fail on a server whose memory is fragmented, and the stub then gives the device up for good."""

# Looked up for each URB; making members of enumerations anew costs more than the rest of a submit.
_WIRE_DIRECTIONS = {direction: WireDirection(direction) for direction in Direction}
_FLAGS = {Direction.IN: int(TransferFlag.DIR_IN), Direction.OUT: 0}
_SCATTER_GATHER = int(TransferFlag.DMA_MAP_SG)


class UrbStream:
    """Submits, unlinks and control requests over the stream of one imported device."""

    def __init__(
        self,
        stream: socket.socket,
        connection: ClientConnection,
        devid: int,
        *,
        next_seqnum: int = 1,
    ) -> None:
        self.stream = stream
        self.connection = connection
        self.devid = devid
        self.next_seqnum = next_seqnum
        self.late_returns = 0
        self.ended: GadgetipError | None = None
        self.on_ending: Callable[[], None] | None = None
        self.on_ended: Callable[[GadgetipError], None] | None = None
        self._in_flight: dict[int, OnReturn] = {}
        self._unlinks: dict[int, int] = {}
        self._unlinking: set[int] = set()
        self._outgoing: deque[memoryview] = deque()
        self.batch = Batch()
        self._blocked = False
        self._buffer = bytearray(RECEIVE_BYTES)
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> "UrbStream":
        """Start to read and write on the running event loop; returns itself."""
        self._loop = asyncio.get_running_loop()
        self.stream.setblocking(False)
        self._loop.add_reader(self.stream, self._readable)
        return self

    def relink(
        self, stream: socket.socket, connection: ClientConnection, devid: int, next_seqnum: int
    ) -> None:
        """Go on over another stream, on which the same device was imported again.

        The one before has ended, and with it all that was in flight; `attach` is to be called anew.
        """
        assert self.ended is not None
        assert not self._in_flight
        self.stream.close()
        self.stream, self.connection, self.devid = stream, connection, devid
        self.next_seqnum = next_seqnum
        self.late_returns = 0
        self.ended = None
        self._blocked = False

    def detach(self) -> None:
        """Leave the event loop; the stream stays open and may be taken by another one."""
        if self._loop is not None:
            self._loop.remove_reader(self.stream)
            self._loop.remove_writer(self.stream)
            self._loop = None

    def submit(
        self,
        ep: int,
        direction: Direction,
        length: int,
        on_return: OnReturn,
        *,
        data: bytes | memoryview = b"",
        setup: bytes = NO_SETUP,
        interval: int = 0,
    ) -> int:
        """Send one CMD_SUBMIT and return its seqnum; `on_return` is called once with the answer."""
        seqnum = self.next_seqnum
        self.next_seqnum = seqnum + 1 if seqnum < 0xFFFFFFFF else 1
        if self.ended is not None:
            self._soon(on_return, seqnum, -errno.ECONNRESET)
            return seqnum
        flags = _FLAGS[direction]
        if length > SCATTER_GATHER_ABOVE:
            flags |= _SCATTER_GATHER
        message = self.connection.send(
            CmdSubmit(
                seqnum=seqnum,
                devid=self.devid,
                direction=_WIRE_DIRECTIONS[direction],
                ep=ep,
                transfer_flags=flags,
                transfer_buffer_length=length,
                interval=interval,
                setup=setup,
                data=data,
            )
        )
        self._in_flight[seqnum] = on_return
        self._send(message)
        return seqnum

    def adopt(self, seqnum: int, on_return: OnReturn) -> None:
        """Be told what becomes of a URB that was submitted by other means on the same stream."""
        self._in_flight[seqnum] = on_return

    def unlink(self, seqnum: int) -> None:
        """Ask the server to take one URB back; its callback tells how that went.

        Once is enough, whoever asks again: a second question would be answered wrongly.
        """
        if seqnum not in self._in_flight or seqnum in self._unlinking or self.ended is not None:
            return
        unlink_seqnum = self.next_seqnum
        self.next_seqnum = unlink_seqnum + 1 if unlink_seqnum < 0xFFFFFFFF else 1
        self._unlinks[unlink_seqnum] = seqnum
        self._unlinking.add(seqnum)
        self._send(
            self.connection.send(
                CmdUnlink(seqnum=unlink_seqnum, devid=self.devid, unlink_seqnum=seqnum)
            )
        )

    async def control(self, setup: SetupPacket, data: bytes = b"", *, limit_s: float) -> bytes:
        """One control request on endpoint 0.

        `data` is the data stage of an OUT request and as long as wLength says. Returns the data
        stage of an IN request. Raises `StallError` when the device refuses, `ControlTimeoutError`
        when it does not answer within `limit_s` seconds (the request is unlinked first, and an
        answer that crosses the unlink counts), and `LinkLostError` when the stream ended meanwhile.
        """
        answer: asyncio.Future[RetSubmit] = asyncio.get_running_loop().create_future()

        def returned(ret: RetSubmit) -> None:
            if not answer.done():
                answer.set_result(ret)

        seqnum = self.submit(
            0, setup.direction, setup.wLength, returned, data=data, setup=setup.pack()
        )
        await asyncio.wait([answer], timeout=limit_s)
        is_late = not answer.done()
        if is_late:
            await self.unlinked([seqnum])
        if self.ended is not None:
            raise self.ended
        if not answer.done():  # the engine was closed by its owner, and nothing comes any more
            raise ControlTimeoutError(f"nobody carries {setup} any more")
        ret = answer.result()
        if is_late and ret.status in {-errno.ECONNRESET, -errno.ENOENT}:
            raise ControlTimeoutError(f"the device did not answer within {limit_s:g} s: {setup}")
        if ret.status != 0:
            raise StallError(ret.status)
        return bytes(ret.data)

    async def unlinked(self, seqnums: list[int]) -> None:
        """Unlink all of `seqnums` and wait until each is settled.

        The last goes first: an endpoint whose first URB is taken away goes on with the second, and
        the device would get data with a hole in it. Their callbacks are called as for any URB. A
        server that has the question and does not answer within `UNLINK_LIMIT_S` breaks the
        protocol: the stream is given up.
        """
        if not seqnums or self.ended is not None:
            return
        settled = asyncio.Event()
        left = set(seqnums) & self._in_flight.keys()

        def wrap(seqnum: int, inner: OnReturn) -> OnReturn:
            def returned(ret: RetSubmit) -> None:
                left.discard(seqnum)
                inner(ret)
                if not left:
                    settled.set()

            return returned

        for seqnum in [each for each in reversed(seqnums) if each in left]:
            self._in_flight[seqnum] = wrap(seqnum, self._in_flight[seqnum])
            self.unlink(seqnum)
        if not left:
            return
        before = connection_info(self.stream)
        for _ in range(UNLINK_ROUNDS):
            with suppress(TimeoutError):
                async with asyncio.timeout(UNLINK_LIMIT_S):
                    await settled.wait()
            if not left:  # even if time is up: this process may not have been run for so long
                return
            now = connection_info(self.stream)
            if now is None or before is None or not now.unacknowledged:
                break
            if now.bytes_sent != before.bytes_sent:  # acknowledged ones: the link is not silent
                break
            before = now
        self._end(LinkLostError(f"the server left {len(left)} CMD_UNLINK unanswered"))

    def close(self) -> None:
        """End the stream from our side; the server resets the device."""
        self.detach()
        self.stream.close()

    def _soon(self, on_return: OnReturn, seqnum: int, status: int) -> None:
        asyncio.get_running_loop().call_soon(
            on_return, RetSubmit(seqnum=seqnum, status=status, actual_length=0)
        )

    def _send(self, message: bytes) -> None:
        self._outgoing.append(memoryview(message))
        if not self._blocked and self._loop is not None:
            self.batch.defer(self._flush)

    def _flush(self) -> None:
        outgoing = self._outgoing
        while outgoing and self._loop is not None:
            try:
                sent = self.stream.sendmsg(list(islice(outgoing, MAX_SEND_BUFFERS)))
            except BlockingIOError:
                if not self._blocked:
                    self._blocked = True
                    self._loop.add_writer(self.stream, self._flush)
                return
            except OSError as error:
                self._end(link_error(error))
                return
            while sent:
                if sent >= len(outgoing[0]):
                    sent -= len(outgoing.popleft())
                else:
                    outgoing[0] = outgoing[0][sent:]
                    sent = 0
        if self._blocked and self._loop is not None:
            self._blocked = False
            self._loop.remove_writer(self.stream)

    def _readable(self) -> None:
        try:
            received = self.stream.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(link_error(error))
            return
        try:
            with self.batch:
                self._take(received)
        except GadgetipError as error:
            self._end(error)

    def _take(self, received: int) -> None:
        if received:
            self.connection.receive_data(memoryview(self._buffer)[:received])
        else:
            self.connection.receive_eof()
        while (event := self.connection.next_event()) is not NEED_DATA:
            if isinstance(event, RetSubmit):
                self._returned(event)
            elif isinstance(event, RetUnlink):
                self._unlinked(event)
            elif isinstance(event, ConnectionClosed):
                self._end(LinkLostError("the server closed the connection"))
                return

    def _returned(self, ret: RetSubmit) -> None:
        on_return = self._in_flight.pop(ret.seqnum, None)
        if on_return is None:
            self.late_returns += 1
            return
        self._unlinking.discard(ret.seqnum)
        on_return(ret)

    def _unlinked(self, ret: RetUnlink) -> None:
        seqnum = self._unlinks.pop(ret.seqnum, None)
        on_return = self._in_flight.pop(seqnum, None) if seqnum is not None else None
        if on_return is not None and seqnum is not None:
            self._unlinking.discard(seqnum)
            on_return(RetSubmit(seqnum=seqnum, status=-errno.ECONNRESET, actual_length=0))

    def _end(self, reason: GadgetipError) -> None:
        if self.ended is not None:
            return
        self.ended = reason
        log.debug("the stream ended: %s", reason)
        self.detach()
        abandoned, self._in_flight = self._in_flight, {}
        self._unlinks.clear()
        self._unlinking.clear()
        self._outgoing.clear()
        # Whoever wants to keep what was in flight has to know before it is called lost.
        if self.on_ending is not None:
            self.on_ending()
        for seqnum, on_return in abandoned.items():
            on_return(RetSubmit(seqnum=seqnum, status=-errno.ECONNRESET, actual_length=0))
        if self.on_ended is not None:
            self.on_ended(reason)
