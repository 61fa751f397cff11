import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.performance.metrics import LATENCY, RATE, Work, percentiles


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_were_measured(values: list[float]) -> None:
    found = percentiles(values)
    assert found["p50_ms"] in values
    assert found["p99_ms"] in values
    assert found["p50_ms"] <= found["p99_ms"]
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        within = sum(value <= found[name] for value in values)
        assert within >= share * len(values)


def test_percentiles_are_the_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(1, 101)]) == {"p50_ms": 50.0, "p99_ms": 99.0}
    assert percentiles([5.0]) == {"p50_ms": 5.0, "p99_ms": 5.0}


@pytest.mark.parametrize(
    ("metric", "shown"), [("mb_per_s", "a work, MB/s"), ("p99_ms", "a work p99, ms")]
)
def test_how_a_figure_is_called(metric: str, shown: str) -> None:
    work = Work("w", "a work", {"mb_per_s": RATE, "p99_ms": LATENCY}, "")
    assert work.figure(metric) == shown
