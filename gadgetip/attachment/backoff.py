"""How long to wait before the next attempt.

Twice as long each time, from half a second to half a minute, with jitter so that a room full of
boards does not ask a server that restarts all at once. An attachment that was stable for a while
makes the next loss a new one.
"""

import random
from collections.abc import Callable

MINIMUM_S = 0.5
MAXIMUM_S = 30.0
STABLE_S = 30.0
JITTER = 0.25


class Backoff:
    """The pauses between attempts, in seconds."""

    def __init__(
        self,
        minimum_s: float = MINIMUM_S,
        maximum_s: float = MAXIMUM_S,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._minimum = minimum_s
        self._maximum = maximum_s
        self._uniform = uniform
        self._next = minimum_s

    def pause(self) -> float:
        """The next pause: never below the minimum, never above the maximum."""
        nominal = self._next
        self._next = min(self._next * 2, self._maximum)
        jittered = nominal * self._uniform(1 - JITTER, 1 + JITTER)
        return min(max(jittered, self._minimum), self._maximum)

    def lasted(self, seconds: float) -> None:
        """An attachment lasted so long: after a stable one, pauses are short again."""
        if seconds >= STABLE_S:
            self.reset()

    def reset(self) -> None:
        """Begin again with the shortest pause."""
        self._next = self._minimum
