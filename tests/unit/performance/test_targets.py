import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.performance.metrics import LATENCY, RATE
from tests.performance.paths import PATHS
from tests.performance.targets import TARGETS, chain_limit, met, ratio, target, yardstick
from tests.performance.works import WORKS
from tests.unit.performance.made import results

POSITIVE = st.floats(0.01, 1e6)


@given(POSITIVE, POSITIVE)
def test_a_chain_is_slower_than_either(direct: float, vhci: float) -> None:
    assert chain_limit(direct, vhci, RATE) < min(direct, vhci)
    assert chain_limit(direct, vhci, LATENCY) > max(direct, vhci)


@given(POSITIVE, POSITIVE)
def test_the_chain_limit_of_a_rate_adds_the_times(direct: float, vhci: float) -> None:
    took = 1 / chain_limit(direct, vhci, RATE)
    assert took == pytest.approx(chain_limit(1 / direct, 1 / vhci, LATENCY))


def test_yardsticks() -> None:
    made = results()

    def of(path: str, ms: float, work: str = "seqread", metric: str = "mb_per_s") -> object:
        kind = WORKS[work].metrics[metric]
        found = yardstick(made, path, work, metric, kind, ms)
        return found and (found.name, pytest.approx(found.value, rel=1e-3))

    assert of("gadget-native", 0) == ("C", 10.2)
    assert of("gadget-native", 0, "report", "p50_ms") == ("C", 4.0)
    assert of("gadget-native", 10) == ("vhci", 15.3 / 11)
    assert of("vhci-pump", 0) == ("vhci", 15.3)
    assert of("vhci-again", 10) == ("vhci", 15.3 / 11)
    assert of("direct", 0) is None
    assert of("vhci", 0) is None


def test_no_yardstick_without_its_parts() -> None:
    made = results()
    left = [sample for sample in made.samples if sample.path != "direct"]
    without = type(made)(made.about, made.paths, made.left_out, left)
    assert yardstick(without, "gadget-native", "seqread", "mb_per_s", RATE, 0) is None
    assert yardstick(without, "gadget-native", "seqread", "mb_per_s", RATE, 10) is not None


def test_the_ratio_is_of_the_median() -> None:
    found = yardstick(results(), "vhci-pump", "seqread", "mb_per_s", RATE, 0)
    assert found is not None
    assert ratio([1.0, 15.3, 99.0], found) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("won", "wanted", "metric", "verdict"),
    [
        (1.05, 1.05, RATE, True),
        (1.046, 1.05, RATE, True),  # is shown as 1.05
        (1.04, 1.05, RATE, False),
        (1.02, 1.02, LATENCY, True),
        (1.03, 1.02, LATENCY, False),
    ],
)
def test_met(won: float, wanted: float, metric: object, verdict: bool) -> None:
    assert met(won, wanted, metric) is verdict  # type: ignore[arg-type]


def test_targets_are_of_what_is_measured() -> None:
    paths = {path.name for path in PATHS}
    for path, work, metric in TARGETS:
        assert path in paths
        assert metric in WORKS[work].metrics
    assert target("gadget-native", "rand4k", "per_s", 50.0) == 2.9
    assert target("gadget-native", "rand4k", "per_s", 1.0) is None
    assert target("vhci", "rand4k", "per_s", 10.0) is None
