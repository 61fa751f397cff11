"""Percentiles that are times which were measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.bench.latencies import percentile, spread, without_pauses

TIMES = st.lists(st.floats(0, 1e6), min_size=1)


def test_of_a_hundred() -> None:
    of_all = spread([float(n) for n in range(100, 0, -1)])
    assert of_all is not None
    assert (of_all.count, of_all.least_s, of_all.most_s) == (100, 1, 100)
    assert (of_all.p50_s, of_all.p99_s) == (50, 99)


def test_of_none() -> None:
    assert spread([]) is None


@given(TIMES, st.integers(0, 100))
def test_so_many_do_not_exceed_it(times: list[float], percent: int) -> None:
    ordered = sorted(times)
    at = percentile(ordered, percent)
    assert at in times
    assert sum(each <= at for each in times) >= len(times) * percent / 100
    assert sum(each < at for each in times) <= len(times) * percent / 100


@given(TIMES, st.floats(0, 1e6))
def test_pauses_are_counted_and_left_out(times: list[float], pause_s: float) -> None:
    kept, pauses = without_pauses(times, pause_s)
    assert len(kept) + pauses == len(times)
    assert all(each < pause_s for each in kept)


@pytest.mark.parametrize(("percent", "least"), [(50, 1.0), (99, 1.0)])
def test_one_alone(percent: int, least: float) -> None:
    assert percentile([1.0], percent) == least
