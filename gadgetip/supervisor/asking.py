"""How often a server is asked for a device that it does not have.

A bootloader lives for a second, so whatever was lost a moment ago is asked for every `poll_ms`. A
device that was put into a drawer is not: after `EAGER_S` seconds without news it is asked for every
`POLITE_S` seconds, or as rarely as `poll_ms` says. News is a loss, a server that comes back, and
a controller or network that does.
"""

import time
from collections.abc import Callable

EAGER_S = 300.0
POLITE_S = 2.0


class Asking:
    """The pace of one attachment."""

    def __init__(self, poll_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._poll_s = poll_s
        self._clock = clock
        self._news = clock()

    def renew(self) -> None:
        """There is news: ask often again."""
        self._news = self._clock()

    def interval_s(self) -> float:
        """Seconds from one question to the next."""
        if self._clock() - self._news < EAGER_S:
            return self._poll_s
        return max(self._poll_s, POLITE_S)
