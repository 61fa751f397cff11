"""One endpoint of the remote device: the URBs in flight to it.

The remote side of every shaper. It remembers which URBs are out, can take all of them back, and
clears a halt. Errors keep the meaning that the server's kernel gave them
(Documentation/driver-api/usb/error-codes.rst); `Outcome` names the few kinds that a shaper has to
tell apart.
"""

import errno
from collections.abc import Callable
from enum import Enum, auto

from gadgetip.pump.interface import ControlTimeoutError, EndpointRoute, StallError
from gadgetip.pump.urbs import UrbStream
from gadgetip.usb import Direction, SetupPacket
from gadgetip.wire import RetSubmit

OnOutcome = Callable[["Outcome", RetSubmit], None]


class Outcome(Enum):
    """What became of a URB, as far as a shaper is concerned."""

    DONE = auto()
    STALLED = auto()
    """EPIPE: the endpoint is halted at the device."""
    FAILED = auto()
    """The bus failed (EPROTO, EILSEQ, ETIME) or the device sent too much (EOVERFLOW)."""
    CANCELLED = auto()
    """Unlinked, or the stream ended: whoever did that knows."""
    GONE = auto()
    """ESHUTDOWN, ENODEV: the device has left."""


_OUTCOMES = {
    0: Outcome.DONE,
    -errno.EREMOTEIO: Outcome.DONE,
    -errno.EPIPE: Outcome.STALLED,
    -errno.ECONNRESET: Outcome.CANCELLED,
    -errno.ENOENT: Outcome.CANCELLED,
    -errno.ESHUTDOWN: Outcome.GONE,
    -errno.ENODEV: Outcome.GONE,
}


class RemoteEndpoint:
    """URBs to and from one endpoint of the device."""

    def __init__(self, urbs: UrbStream, route: EndpointRoute, *, control_limit_s: float) -> None:
        self.route = route
        self._urbs = urbs
        self._control_limit_s = control_limit_s
        self._in_flight: dict[int, OnOutcome] = {}

    @property
    def in_flight(self) -> int:
        """URBs that the device has not answered yet."""
        return len(self._in_flight)

    def submit_in(self, length: int, on_outcome: OnOutcome) -> None:
        """Let a URB of `length` bytes wait at the device for its data."""
        self._submit(Direction.IN, length, b"", on_outcome)

    def submit_out(self, data: bytes | memoryview, on_outcome: OnOutcome) -> None:
        """Send `data`, which may be empty (a zero-length packet)."""
        self._submit(Direction.OUT, len(data), data, on_outcome)

    def adopt(self, seqnum: int, on_outcome: OnOutcome) -> None:
        """Be told what becomes of a URB that somebody else has submitted."""
        self._in_flight[seqnum] = on_outcome
        self._urbs.adopt(seqnum, self._returned)

    async def unlink_all(self) -> None:
        """Take every URB back and wait until each is settled; their callbacks see CANCELLED."""
        await self._urbs.unlinked(list(self._in_flight))

    async def clear_halt(self) -> None:
        """Clear the halt at the device; the stub resets the data toggle with it."""
        setup = SetupPacket.clear_halt(self.route.address)
        try:
            await self._urbs.control(setup, limit_s=self._control_limit_s)
        except (StallError, ControlTimeoutError):
            return  # a device may refuse; what follows shows whether the endpoint works

    def _submit(
        self, direction: Direction, length: int, data: bytes | memoryview, on_outcome: OnOutcome
    ) -> None:
        seqnum = self._urbs.submit(
            self.route.number,
            direction,
            length,
            self._returned,
            data=data,
            interval=self.route.interval,
        )
        self._in_flight[seqnum] = on_outcome

    def _returned(self, ret: RetSubmit) -> None:
        on_outcome = self._in_flight.pop(ret.seqnum)
        on_outcome(_OUTCOMES.get(ret.status, Outcome.FAILED), ret)
