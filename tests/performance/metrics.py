"""What is measured: a work, and the figures that it gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One figure of a work: its unit, and whether less of it is better."""

    unit: str
    less_is_better: bool = False


RATE = Metric("MB/s")
PER_SECOND = Metric("/s")
LATENCY = Metric("ms", less_is_better=True)
PERCENTILES = {"p50_ms": LATENCY, "p99_ms": LATENCY}


@dataclass(frozen=True)
class Work:
    """Something that a host does with a device for a while."""

    name: str
    title: str
    metrics: Mapping[str, Metric]
    """By name; the first is what the work is plotted by."""
    shape: str
    """What exactly is done."""

    def figure(self, metric: str) -> str:
        """What a row of a table shows: the title, which percentile, the unit."""
        which = f" {metric.removesuffix('_ms')}" if metric.endswith("_ms") else ""
        return f"{self.title}{which}, {self.metrics[metric].unit}"


def percentiles(each: Sequence[float]) -> dict[str, float]:
    """The median, and what 99 of 100 do not exceed (nearest rank: a value that was measured)."""
    ascending = sorted(each)
    return {
        name: ascending[math.ceil(share * len(ascending)) - 1]
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
    }
