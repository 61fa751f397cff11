"""The results as Markdown: against the targets, and every median with its spread."""

import statistics
from collections.abc import Iterator, Sequence

from tests.performance.samples import Results
from tests.performance.targets import met, ratio, target, yardstick
from tests.performance.works.work import Metric, Work

Row = tuple[float, Work, str, Metric]


def number(value: float) -> str:
    """Three significant digits or a little more."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def cell(values: Sequence[float]) -> str:
    """The median, and the spread behind it."""
    if not values:
        return "-"
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"


def named(work: Work, name: str, metric: Metric) -> str:
    """What a row shows."""
    kind = f" {name.removesuffix('_ms')}" if len(work.metrics) > 1 and name.endswith("_ms") else ""
    return f"{work.title}{kind}, {metric.unit}"


def rows(results: Results, works: dict[str, Work]) -> Iterator[Row]:
    """Every figure at every distance."""
    for round_trip_ms in results.round_trips:
        for work in (works[name] for name in results.works):
            for name, metric in work.metrics.items():
                yield round_trip_ms, work, name, metric


def medians(results: Results, works: dict[str, Work]) -> str:
    """Every median with its spread, a column a path, and the chain limit."""
    lines = [
        f"| round trip | work | {' | '.join(results.paths)} |",
        "|---|---|" + "---|" * len(results.paths),
    ]
    for round_trip_ms, work, name, metric in rows(results, works):
        cells = [
            cell(results.values(path, work.name, name, round_trip_ms)) for path in results.paths
        ]
        title = named(work, name, metric)
        lines.append(f"| {round_trip_ms:g} ms | {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def against_targets(results: Results, works: dict[str, Work]) -> str:
    """Every figure that has a yardstick: the ratio, what is wanted, and whether it is met."""
    lines = [
        "| round trip | work | path | median | yardstick | ratio | wanted | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for round_trip_ms, work, name, metric in rows(results, works):
        for path in results.paths:
            values = results.values(path, work.name, name, round_trip_ms)
            against = yardstick(results, path, work.name, name, metric, round_trip_ms)
            if not values or against is None:
                continue
            won = ratio(values, against)
            wanted = target(path, work.name, name, round_trip_ms)
            sign = "≤" if metric.less_is_better else "≥"
            verdict = (
                "| |"
                if wanted is None
                else f"{sign} {wanted:g} | {'yes' if met(won, wanted, metric) else '**no**'} |"
            )
            lines.append(
                f"| {round_trip_ms:g} ms | {named(work, name, metric)} | {path} | "
                f"{number(statistics.median(values))} | {against.name} {number(against.value)} | "
                f"{won:.2f} | {verdict}"
            )
    return "\n".join(lines)
