"""What every shaper offers, and what it works with.

A `Side` pairs the two ends of one endpoint: the device's, reached by URBs, and the replica's,
reached through its file. A shaper runs on callbacks while all is well, because that is the path
that has to be fast; what goes wrong is settled in order by a coroutine, one at a time, which the
base class starts and cancels.
"""

import asyncio
import errno
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.pump.endpoint_requests import EndpointRequests
from gadgetip.pump.interface import EndpointRoute
from gadgetip.pump.lanes import LaneState
from gadgetip.pump.remote_endpoint import RemoteEndpoint
from gadgetip.pump.statistics import EndpointStatistics
from gadgetip.usb import SetupPacket

log = logging.getLogger(__name__)

REARM_S = (0.001, 0.1)
"""Pause before an endpoint that stalls again and again is armed once more: first and longest."""

WHEN_STOPPED = frozenset({-errno.ESHUTDOWN, -errno.ECONNRESET, -errno.ENODEV})
"""How a request on an endpoint file ends that was cancelled, or whose endpoint is disabled: whoever
did that starts again."""

HANDED_BACK = -errno.EINPROGRESS
"""dwc2 hands the request under way back as it is when the host clears a halt (dwc2/gadget.c,
`dwc2_hsotg_process_req_feature`): nothing has moved, and it has to be made again."""

PASSING = frozenset({HANDED_BACK, -errno.EAGAIN, -errno.EIO})
"""Nobody needs to hear of these: handed back, another holds the endpoint, it is being disabled."""

AGAIN_S = 0.1
"""Pause before a request on an endpoint file that failed is made again."""

_MAX_DOUBLINGS = 20
"""More than the longest pause needs; an endpoint may stay halted for days."""


@dataclass(slots=True)
class Side:
    """One endpoint: its route, its two ends, its counters."""

    route: EndpointRoute
    remote: RemoteEndpoint
    replica: EndpointRequests
    statistics: EndpointStatistics = field(default_factory=EndpointStatistics)


@dataclass(slots=True)
class ShaperContext:
    """What a shaper may ask of the pump that runs it."""

    noticed: Callable[[str], None]
    device_gone: Callable[[], None]
    may_hold: bool = False
    """Whether a lost link may be survived, so that what that takes has to be kept at hand."""


class DeviceChangedError(GadgetipError):
    """What was imported again is not what the host believes to have."""


class Shaper(ABC):
    """The cutting of one piece of work, from `start` to `stop`, as often as the host configures."""

    def __init__(self, sides: list[Side], context: ShaperContext) -> None:
        self.sides = sides
        self.context = context
        self.running = False
        self.stopping = False
        self.held = False
        """Whether the link is lost and the host is kept waiting: `suspend`, `resume`."""
        self.reclaim: Callable[[], None] = _nothing
        """Takes back from a lane what it has in its hands; from here on it is not lent again."""
        self._losses = 0
        self._recoveries: dict[int, asyncio.Task[None]] = {}
        self._later: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._told: set[int] = set()

    def start(self) -> None:
        """Begin: the endpoints are enabled on both sides and nothing is in flight."""
        self.running = True
        self.stopping = False
        self.held = False
        self.begin()

    async def stop(self) -> None:
        """Take everything back on both sides, await it, and forget what had arrived.

        From here on `stopping` is set: what completes instead of being taken back goes no further,
        or it would be in flight behind the cancellation.
        """
        self.running = False
        self.stopping = True
        self.reclaim()
        self._forget_timers()
        recoveries = list(self._recoveries.values())
        for recovery in recoveries:
            recovery.cancel()
        await asyncio.gather(*recoveries, return_exceptions=True)
        await self.cancel()
        self.forget()

    def suspend(self) -> None:
        """The link is lost and the host is to be kept waiting: ask nobody for anything more.

        What was in flight to the device is called back as cancelled right after this. What was
        queued towards the host goes on, with what has to be written again, and so does the
        settling of a halt: the host meets it where the device made it. What the host still sends
        is kept.
        """
        self.running = False
        self.held = True
        self._losses += 1

    async def resume(self) -> None:
        """The device is back, reset and configured as it was: go on.

        A shaper that does not know better starts anew, and says what is lost by that. Raises
        `LinkLostError`, and `DeviceChangedError` where it turns out to be another device.
        """
        losses = self._losses
        if self.unconfirmed:
            self.context.noticed(
                f"interface {self.sides[0].route.interface}: {self.unconfirmed} bytes from the "
                "host were under way when the link was lost, and are not sent again"
            )
        await self.stop()
        self._refuse_lost(losses)
        self.start()

    def _refuse_lost(self, losses: int) -> None:
        """Raise `LinkLostError` where the link was lost since there were so many losses.

        The device's last answer may have come together with the end of the link.
        """
        if self._losses != losses:
            raise LinkLostError("the link was lost again")

    async def cancel(self) -> None:
        """Cancel on both sides at once and await every answer."""
        await asyncio.gather(
            *(side.remote.unlink_all() for side in self.sides),
            *(side.replica.cancel_all() for side in self.sides),
        )

    def claims(self, setup: SetupPacket) -> bool:  # noqa: ARG002 (most shapers claim none)
        """Whether this control request cancels the shaper's work, as a class-specific reset does.

        The pump then stops the shaper, carries the request, and starts it again.
        """
        return False

    def adopt(self, state: LaneState) -> None:
        """Go on where the shaper's lane was; only a shaper that lends has one."""
        raise NotImplementedError

    @abstractmethod
    def begin(self) -> None:
        """Queue the first work on both sides."""

    @abstractmethod
    def forget(self) -> None:
        """Drop what has arrived and the place in any protocol; count what is lost."""

    @property
    @abstractmethod
    def unconfirmed(self) -> int:
        """Bytes that the host was told are taken and the device has not confirmed."""

    def hold(self) -> None:
        """Take nothing more from the host; what was taken goes on to the device."""
        self.running = False

    def later(self, pause_s: float, step: Callable[[], None]) -> None:
        """Call `step` after a pause, once however often it is asked for, and never after `stop`."""

        def due() -> None:
            del self._later[step]
            step()

        if step not in self._later and not self.stopping:
            self._later[step] = asyncio.get_running_loop().call_later(pause_s, due)

    def not_later(self, step: Callable[[], None]) -> None:
        """What `later` was asked for is not wanted any more, or not then."""
        if (timer := self._later.pop(step, None)) is not None:
            timer.cancel()

    def read_failed(self, side: Side, error: int, again: Callable[[], None]) -> None:
        """Settle a read of the host's data that ended with an error: make it again, by `again`.

        A read is no promise: while there is none the host is NAKed, and nothing is lost. What is
        no passing state is told once.
        """
        if error in WHEN_STOPPED or not self.running:
            return
        if error not in PASSING and error not in self._told:
            self._told.add(error)
            self.context.noticed(
                f"endpoint 0x{side.route.address:02x}: taking data from the host failed "
                f"({os.strerror(-error)}); trying again"
            )
        self.later(pause_before_again(error), again)

    def recover(self, side: Side, steps: Coroutine[None, None, None]) -> None:
        """Run `steps`, which settle a halt or an error of `side`, unless that is under way."""
        if self.stopping or self.recovering(side):
            steps.close()
            return
        task = asyncio.get_running_loop().create_task(steps)
        self._recoveries[side.route.address] = task
        task.add_done_callback(self._recovered)

    async def abandon(self, side: Side) -> None:
        """Stop settling a halt or an error of `side`, wherever that is."""
        task = self._recoveries.get(side.route.address)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def recovering(self, side: Side) -> bool:
        """Whether a halt or an error of this endpoint is being settled right now."""
        task = self._recoveries.get(side.route.address)
        return task is not None and not task.done()

    def _forget_timers(self) -> None:
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()

    def _recovered(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, LinkLostError):
            log.error("recovery failed", exc_info=error)
            self.context.noticed(f"an endpoint could not be recovered: {error}")


def _nothing() -> None:
    """Stands where there is no lane."""


def pause_before_again(error: int) -> float:
    """Seconds before a request on an endpoint file that ended with `error` is made again."""
    return REARM_S[0] if error == HANDED_BACK else AGAIN_S


async def pause_before_rearming(stalls: int) -> None:
    """Wait before an endpoint that stalled so many times in a row before is armed once more."""
    first, longest = REARM_S
    if stalls:
        await asyncio.sleep(min(first * 2 ** min(stalls - 1, _MAX_DOUBLINGS), longest))
