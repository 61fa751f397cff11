"""Rates are those of the time in which something moved, whenever it began."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.attachment import Traffic
from gadgetip.bench.figures import Figures, reduce_samples
from gadgetip.bench.sample import ProcessorUse, Sample


def sample(at_s: float, moved: int, *, busy_s: float = 0.0, urbs: int = 0) -> Sample:
    """`busy_s` of one thread, all of it in user space."""
    traffic = Traffic(moved, 0, urbs, 0, 0, 0, 0, 0.05, 0.04, 0)
    return Sample(at_s, traffic, ProcessorUse(at_s, busy_s, 0.0, {7: busy_s}, busy_s, 2))


def test_a_steady_stream() -> None:
    figures = reduce_samples([sample(t, t * 1000, busy_s=t / 2, urbs=t * 10) for t in range(11)])
    assert figures.active_s == pytest.approx(10)
    assert (figures.in_per_s, figures.out_per_s) == (1000, 0)
    assert (figures.urbs_in_per_s, figures.bytes_per_urb) == (10, 100)
    assert (figures.busiest_thread, figures.machine) == (0.5, 0.25)
    assert figures.user_s_per_mb == pytest.approx(5 / (10_000 / 1e6))
    assert figures.round_trip_s == pytest.approx(0.05)


def test_who_begins_late_and_ends_early_is_not_slower() -> None:
    idle = [sample(0, 0)]
    # 0.3 s of the first second, 0.6 s of the last one.
    busy = [sample(5, 300), sample(6, 1300), sample(7, 2300), sample(8, 2900)]
    figures = reduce_samples([*idle, *busy, sample(20, 2900)])
    assert figures.active_s == pytest.approx(2.9)
    assert figures.in_per_s == pytest.approx(1000)


def test_a_host_that_asks_whether_it_is_still_there_moves_nothing() -> None:
    asked = [sample(t, t * 44) for t in range(5)]
    copied = [sample(5 + t, 176 + 1_000_000 * t) for t in range(4)]
    figures = reduce_samples([*asked, *copied])
    assert figures.active_s == pytest.approx(3)
    assert figures.in_per_s == pytest.approx(1e6, rel=0.001)


def test_a_report_just_behind_the_beginning_tells_of_a_whole_second() -> None:
    figures = reduce_samples([sample(0, 0), sample(0.001, 900), sample(1, 1900), sample(2, 2900)])
    assert figures.active_s == pytest.approx(2.899, abs=0.01)


def test_nothing_moved() -> None:
    figures = reduce_samples([sample(3, 7), sample(9, 7)])
    assert (figures.active_s, figures.in_per_s, figures.busiest_thread) == (0, 0, None)
    assert figures.user_s_per_mb is None
    assert reduce_samples([sample(3, 7)]).active_s == 0


def test_what_the_kernel_does_not_count_is_not_known() -> None:
    first = Sample(0, Traffic(0, 0), ProcessorUse())
    last = Sample(1, Traffic(1000, 10), ProcessorUse(1.0))
    figures = reduce_samples([first, last])
    assert (figures.in_per_s, figures.out_per_s) == (1000, 10)
    assert (figures.urbs_in_per_s, figures.bytes_per_urb, figures.errors) == (None, None, None)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 30), st.integers(0, 10**9), st.integers(0, 1000)),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_moved(steps: list[tuple[float, int, int]]) -> None:
    samples = [sample(0, 0)]
    for gap_s, moved, urbs in steps:
        before = samples[-1]
        samples.append(
            sample(
                before.at_s + gap_s,
                before.traffic.bytes_in + moved,
                urbs=(before.traffic.urbs_in or 0) + urbs,
            )
        )
    figures: Figures = reduce_samples(samples)
    assert figures.bytes_in == sum(moved for _, moved, _ in steps)
    assert 0 <= figures.active_s <= sum(max(b.at_s - a.at_s, 1) for a, b in pairwise(samples))
    assert (figures.active_s > 0) == any(moved or urbs for _, moved, urbs in steps)
    # What is left out as quiet is little: the rate is not above the fastest second by more.
    fastest = max(
        (b.traffic.bytes_in - a.traffic.bytes_in)
        / (b.at_s - a.at_s if 0.5 <= b.at_s - a.at_s <= 1.5 else 1)
        for a, b in pairwise(samples)
    )
    if figures.bytes_in:
        assert figures.in_per_s <= fastest * 1.5 + 1
