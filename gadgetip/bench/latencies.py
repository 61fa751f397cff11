"""What many measured times come to: percentiles, and nothing that one slow one could hide."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Spread:
    """How `count` times are spread, in seconds; a percentile is one of them (nearest rank)."""

    count: int
    least_s: float
    p50_s: float
    p99_s: float
    most_s: float


def spread(times_s: Sequence[float]) -> Spread | None:
    """The spread of some times; None where there is none."""
    if not times_s:
        return None
    ordered = sorted(times_s)
    return Spread(
        len(ordered),
        ordered[0],
        percentile(ordered, 50),
        percentile(ordered, 99),
        ordered[-1],
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The least of some sorted times that is not exceeded by so many percent of them."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


def without_pauses(times_s: Sequence[float], pause_s: float) -> tuple[list[float], int]:
    """The times that are shorter than a pause, and how many pauses there were."""
    kept = [each for each in times_s if each < pause_s]
    return kept, len(times_s) - len(kept)
