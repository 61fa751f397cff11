"""The URBs of one imported device where the native pump's engine has the stream.

The same book as `urbs` keeps, of the URBs that are Python's: endpoint 0, and whatever is not a
lane's. Numbers, headers, and the race between an answer and an unlink are the engine's.
"""

import asyncio
import errno
import socket
from itertools import count
from types import ModuleType

from gadgetip.errors import GadgetipError
from gadgetip.pump.native_engine import NativeEngine
from gadgetip.pump.urbs import NO_SETUP, OnReturn, UrbStream
from gadgetip.usb import Direction
from gadgetip.wire import ClientConnection, RetSubmit

_NO_SEQNUM = 1 << 32
"""From here on numbers are no seqnums: for what is submitted to a stream that has ended."""


class NativeUrbStream(UrbStream):
    """See `UrbStream`; takes over one that has nothing in flight and is not attached."""

    def __init__(self, module: ModuleType, before: UrbStream) -> None:
        super().__init__(
            before.stream, before.connection, before.devid, next_seqnum=before.next_seqnum
        )
        self.stream.setblocking(False)
        self.engine = NativeEngine(
            module, self.stream.fileno(), self.devid, self.next_seqnum, self.batch
        )
        self.engine.on_returned = self._engine_returned
        self.engine.on_ended = self._engine_ended
        self._giving_up: GadgetipError | None = None
        self._no_seqnums = count(_NO_SEQNUM)

    def attach(self) -> "NativeUrbStream":
        """Hand out what the engine tells on the running event loop; returns itself."""
        self._loop = asyncio.get_running_loop()
        self.engine.attach()
        return self

    def relink(
        self, stream: socket.socket, connection: ClientConnection, devid: int, next_seqnum: int
    ) -> None:
        """Go on over another stream, on which the same device was imported again."""
        self.engine.hand_out()  # what is left of the stream before
        super().relink(stream, connection, devid, next_seqnum)
        stream.setblocking(False)
        self.engine.core.relink(stream.fileno(), devid, next_seqnum)

    def detach(self) -> None:
        """Nothing: the engine has let go of a stream that has ended, and has its files yet."""

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
        if self.ended is not None or self.engine.is_closed:
            number = next(self._no_seqnums)
            if not self.engine.is_closed:
                self._soon(on_return, number, -errno.ECONNRESET)
            return number
        seqnum: int = self.engine.core.submit(
            ep, int(direction is Direction.IN), length, interval, setup, data
        )
        self._in_flight[seqnum] = on_return
        self.engine.flush_soon()
        return seqnum

    def unlink(self, seqnum: int) -> None:
        """Ask the server to take one URB back; its callback tells how that went."""
        if seqnum in self._in_flight and self.ended is None and not self.engine.is_closed:
            self.engine.core.unlink(seqnum)
            self.engine.flush_soon()

    def close(self) -> None:
        """End the stream from our side; the server resets the device."""
        self.engine.close()
        self._loop = None
        self.stream.close()

    def _engine_returned(self, seqnum: int, status: int, moved: int, data: bytes) -> None:
        on_return = self._in_flight.pop(seqnum, None)
        if on_return is not None:
            on_return(RetSubmit(seqnum=seqnum, status=status, actual_length=moved, data=data))

    def _end(self, reason: GadgetipError) -> None:
        """Give the stream up; what the lanes had in flight is among what comes back."""
        if self.ended is None and not self.engine.is_closed:
            self._giving_up = reason
            self.engine.core.disconnect()
            self.engine.hand_out()
            self._giving_up = None
        super()._end(reason)

    def _engine_ended(self, reason: GadgetipError) -> None:
        super()._end(self._giving_up or reason)
