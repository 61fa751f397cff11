"""The fence: waiting until the device has confirmed the data that the host was told is written.

Only data that still moves is worth waiting for. A device that takes none (a printer without
paper, a modem under flow control) would hold up every control request, among them the one that
would end that state. So nobody waits longer than a given time for an endpoint of which nothing is
confirmed meanwhile, and how long that has lasted is remembered from one wait to the next.
"""

import asyncio
from collections.abc import Callable, Sequence

from gadgetip.pump.shapers import Shaper
from gadgetip.usb import Direction

POLL_S = 0.001


class Fence:
    """Waits for the shapers that `shapers` gives, while `is_open` says that there is a link."""

    def __init__(
        self, shapers: Callable[[], Sequence[Shaper]], is_open: Callable[[], bool]
    ) -> None:
        self._shapers = shapers
        self._is_open = is_open
        self._marks: dict[Shaper, tuple[int, float]] = {}
        """Where data is unconfirmed: what was confirmed, and since when no more than that."""

    async def wait(self, limit_s: float, idle_s: float | None = None) -> int:
        """Wait until all is confirmed, `limit_s` at most, and for no endpoint idle for `idle_s`.

        Returns the bytes that are not confirmed. Without `idle_s` idle endpoints are waited for
        like any other.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while self._moves(loop.time(), idle_s) and self._is_open() and loop.time() < deadline:
            await asyncio.sleep(POLL_S)
        return sum(shaper.unconfirmed for shaper in self._shapers())

    def _moves(self, now: float, idle_s: float | None) -> bool:
        """Note how far each endpoint is; whether one is worth waiting for."""
        marks: dict[Shaper, tuple[int, float]] = {}
        for shaper in self._shapers():
            if shaper.unconfirmed:
                confirmed = _confirmed(shaper)
                before = self._marks.get(shaper)
                is_same = before is not None and before[0] == confirmed
                marks[shaper] = before if before and is_same else (confirmed, now)
        self._marks = marks
        return any(idle_s is None or now - since < idle_s for _, since in marks.values())


def _confirmed(shaper: Shaper) -> int:
    """Bytes towards the device whose fate is known; it grows whenever an OUT endpoint moves."""
    return sum(
        side.statistics.moved + side.statistics.discarded
        for side in shaper.sides
        if side.route.direction is Direction.OUT
    )
