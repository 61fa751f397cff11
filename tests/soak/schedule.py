"""Which disturbance comes next, and for how long: drawn from a seed. Pure but for its RNG.

Every kind has come once before any comes twice, and so on, in another order each time: a short soak
has them all, a long one has them in many orders. A supervisor parks what crashes five times in a
minute, so a crash is not drawn for an attachment that has had three of them in the last minute.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

CRASHES = 3
MINUTE_S = 60.0
PAUSE_S = (0.5, 5.0)


class Drawable(Protocol):
    """What the schedule must know of a disturbance."""

    @property
    def hits_all(self) -> bool: ...
    @property
    def is_crash(self) -> bool: ...
    @property
    def longest_s(self) -> float: ...


D = TypeVar("D", bound=Drawable)


@dataclass(frozen=True, slots=True)
class Drawn(Generic[D]):
    """Wait `pause_s`, disturb `target`, and undo it after `lasts_s`."""

    disturbance: D
    target: str
    pause_s: float
    lasts_s: float


class Schedule(Generic[D]):
    """Draws disturbances without end."""

    def __init__(self, kinds: Sequence[D], names: Sequence[str], rng: random.Random) -> None:
        self._kinds, self._names, self._random = kinds, names, rng
        self._left: list[tuple[D, str]] = []
        self._crashes: dict[str, list[float]] = {name: [] for name in names}

    def draw(self, now: float) -> Drawn[D]:
        """The next one, at a time in seconds."""
        at = self._next(now)
        if at is None:  # only crashes are left, of which there were too many
            self._left = []
            at = self._next(now)
        wait_s = 0.0 if at is not None else MINUTE_S
        kind, name = self._left.pop(at or 0)
        if kind.is_crash:
            self._crashes[name].append(now + wait_s)
        pause_s = wait_s + self._random.uniform(*PAUSE_S)
        return Drawn(kind, name, pause_s, self._random.random() * kind.longest_s)

    def _next(self, now: float) -> int | None:
        if not self._left:
            self._left = [
                (kind, name)
                for kind in self._kinds
                for name in (self._names[:1] if kind.hits_all else self._names)
            ]
            self._random.shuffle(self._left)
        return next((n for n, each in enumerate(self._left) if self._may(*each, now)), None)

    def _may(self, kind: D, name: str, now: float) -> bool:
        recent = [at for at in self._crashes[name] if now - at < MINUTE_S]
        return not kind.is_crash or len(recent) < CRASHES
