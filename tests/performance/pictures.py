"""Which figures are drawn, and how many pictures there are: one a device, a panel a figure."""

import statistics
from collections.abc import Mapping, Sequence

from tests.performance.metrics import Work
from tests.performance.plot import Panel, Point, svg
from tests.performance.samples import Results
from tests.performance.targets import AGAIN


def pictures(
    results: Results, works: Mapping[str, Work], groups: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """SVG texts by name; `groups` are the works of each picture."""
    drawn = {}
    for name, group in groups.items():
        panels = [
            panel(results, works[work], metric)
            for work in group
            if work in results.works
            for metric in plotted(works[work])
        ]
        if panels:
            drawn[name] = svg(panels, results.round_trips)
    return drawn


def plotted(work: Work) -> list[str]:
    """The figures of a work that are drawn: its first, and a 99th percentile beside a median."""
    names = list(work.metrics)
    return names[:2] if names[0] == "p50_ms" else names[:1]


def panel(results: Results, work: Work, metric: str) -> Panel:
    """One figure through every path, without the one that is only there for the noise."""
    lines = {}
    for path in results.paths:
        if path != AGAIN:
            each = [results.values(path, work.name, metric, ms) for ms in results.round_trips]
            lines[path] = [point(values) for values in each]
    return Panel(work.figure(metric), lines)


def point(values: Sequence[float]) -> Point | None:
    """The median with its spread."""
    if not values:
        return None
    return Point(min(values), statistics.median(values), max(values))
