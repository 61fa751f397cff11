"""The README's figures: ratios of the best pump that was measured, from the same results.

They stand between two comments, and whatever is between them is written anew.
"""

from collections.abc import Mapping, Sequence

from tests.performance.metrics import Work
from tests.performance.samples import Results
from tests.performance.table import markdown
from tests.performance.targets import ratio, yardstick

BEGIN = "<!-- figures: from docs/performance/results.json by `make bench` -->"
END = "<!-- end of figures -->"
PUMPS = ("gadget-native", "gadget-python")
SINK = "vhci-pump"
FIGURES = (
    ("seqread", "mb_per_s"),
    ("seqwrite", "mb_per_s"),
    ("rand4k", "per_s"),
    ("randwrite4k", "per_s"),
    ("bulkin", "mb_per_s"),
    ("bulkout", "mb_per_s"),
    ("report", "p50_ms"),
    ("serialin", "mb_per_s"),
    ("serialout", "mb_per_s"),
)


def block(results: Results, works: Mapping[str, Work]) -> str:
    """The table that the README shows."""
    path = next((pump for pump in PUMPS if pump in results.paths), None)
    if path is None:
        raise ValueError("no replica was measured")
    measured = [name for name in (path, SINK) if name in results.paths]

    def rows() -> "list[Sequence[str]]":
        found: list[Sequence[str]] = []
        for work, metric in FIGURES:
            if work in results.works:
                cells = [_cell(results, works[work], metric, name, ms) for name, ms in columns]
                less = " (less is better)" if works[work].metrics[metric].less_is_better else ""
                found.append((works[work].title + less, *cells))
        return found

    columns = [(name, ms) for name in measured for ms in results.round_trips]
    head = [f"{name}, {ms:g} ms" for name, ms in columns]
    return markdown(("", *head), iter(rows()))


def _cell(results: Results, work: Work, metric: str, path: str, round_trip_ms: float) -> str:
    values = results.values(path, work.name, metric, round_trip_ms)
    kind = work.metrics[metric]
    against = yardstick(results, path, work.name, metric, kind, round_trip_ms)
    return f"{ratio(values, against):.2f}" if values and against else "-"


def inserted(readme: str, text: str) -> str:
    """The README with this between the two comments. Raises ValueError where they are not."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
