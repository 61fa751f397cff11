"""What a work is: something that a host does with a device for a while, and what comes of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.system.devices import Gadget


@dataclass(frozen=True)
class Metric:
    """One figure of a work: its unit, and whether less of it is better."""

    unit: str
    less_is_better: bool = False


RATE = Metric("MB/s")
PER_SECOND = Metric("/s")
LATENCY = Metric("ms", less_is_better=True)
PERCENTILES = {"p50_ms": LATENCY, "p99_ms": LATENCY}


def percentiles(each: Sequence[float]) -> dict[str, float]:
    """The median, and what 99 of 100 do not exceed (nearest rank: a value that was measured)."""
    ascending = sorted(each)
    return {
        name: ascending[math.ceil(share * len(ascending)) - 1]
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
    }


@dataclass(frozen=True)
class Work:
    """A work by its name: how it is called in a table, and the figures that it gives."""

    name: str
    title: str
    metrics: Mapping[str, Metric]
    shape: str
    """What exactly is done."""


@dataclass(frozen=True)
class Outcome:
    """What came of it: figures by the metric's name; what was moved, in how many seconds."""

    figures: dict[str, float]
    moved_bytes: int
    operations: int
    seconds: float


Run = Callable[[float], Outcome]
"""Do the work for about so many seconds."""


class Subject(ABC):
    """A device, and the works that a host does with it."""

    name: str
    works: tuple[Work, ...]

    @abstractmethod
    def plugged(self) -> AbstractContextManager[Gadget]:
        """The device, in the server's port."""

    @abstractmethod
    def opened(self, gadget: Gadget, device: Path) -> AbstractContextManager[Mapping[str, Run]]:
        """Its works by their names, once the host's driver is through with `device` (sysfs)."""
