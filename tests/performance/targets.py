"""What the pumps are measured by, and the yardsticks.

At no distance a replica on the bench has one emulated cable (`dummy_hcd`) more to cross than vhci
has, so there its yardstick is the *chain limit*: both ways one after the other,
C = 1/(1/direct + 1/vhci), and for latencies C = direct + vhci. With distance the yardstick is stock
vhci itself. Whatever ends at vhci is measured against vhci at every distance.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.performance.metrics import Metric
from tests.performance.samples import Results

DIRECT, VHCI, AGAIN = "direct", "vhci", "vhci-again"
SEQUENTIAL = {0: 1.05, 10: 2.4, 50: 2.7}
RANDOM = {0: 1.4, 10: 2.8, 50: 2.9}
PACKETS = {0: 0.8, 10: 1.0, 50: 1.0}
REPORTS = {0: 1.1, 10: 1.05, 50: 1.02}
SINK = {0: 0.9, 10: 2.2}
USER_SHARE = 0.1
"""The native pump's user time for a URB, of the Python pump's."""

TARGETS: dict[tuple[str, str, str], dict[int, float]] = {
    ("gadget-native", "seqread", "mb_per_s"): SEQUENTIAL,
    ("gadget-native", "seqwrite", "mb_per_s"): SEQUENTIAL,
    ("gadget-native", "rand4k", "per_s"): RANDOM,
    ("gadget-native", "bulkin", "mb_per_s"): PACKETS,
    ("gadget-native", "bulkout", "mb_per_s"): PACKETS,
    ("gadget-native", "usbtest28", "mb_per_s"): PACKETS,
    ("gadget-native", "usbtest27", "mb_per_s"): PACKETS,
    ("gadget-native", "report", "p50_ms"): REPORTS,
    ("gadget-native", "report", "p99_ms"): REPORTS,
    ("gadget-native", "reports", "p50_ms"): REPORTS,
    ("gadget-native", "reports", "p99_ms"): REPORTS,
    ("vhci-pump", "seqread", "mb_per_s"): SINK,
    ("vhci-pump", "seqwrite", "mb_per_s"): SINK,
    ("vhci-pump", "rand4k", "per_s"): SINK,
}
"""By path, work and metric: the wanted ratio at each round trip. Where less is better it is a
maximum, else a minimum."""


@dataclass(frozen=True)
class Yardstick:
    """What a figure is compared with."""

    name: str
    value: float


def chain_limit(direct: float, vhci: float, metric: Metric) -> float:
    """What two ways one after the other can give together."""
    return direct + vhci if metric.less_is_better else 1 / (1 / direct + 1 / vhci)


def yardstick(
    results: Results, path: str, work: str, name: str, metric: Metric, round_trip_ms: float
) -> Yardstick | None:
    """For one cell; None where what it is made of was not measured."""
    vhci = results.values(VHCI, work, name, round_trip_ms)
    if path in {DIRECT, VHCI} or not vhci:
        return None
    if round_trip_ms or "vhci" in path:
        return Yardstick(VHCI, statistics.median(vhci))
    direct = results.values(DIRECT, work, name, round_trip_ms)
    if not direct:
        return None
    limit = chain_limit(statistics.median(direct), statistics.median(vhci), metric)
    return Yardstick("C", limit)


def ratio(values: Sequence[float], against: Yardstick) -> float:
    """Of the median."""
    return statistics.median(values) / against.value


def target(path: str, work: str, name: str, round_trip_ms: float) -> float | None:
    """The wanted ratio, if there is one."""
    return TARGETS.get((path, work, name), {}).get(int(round_trip_ms))


def met(won: float, wanted: float, metric: Metric) -> bool:
    """Whether the ratio, rounded as it is shown, is what was wanted."""
    shown = round(won, 2)
    return shown <= wanted if metric.less_is_better else shown >= wanted
