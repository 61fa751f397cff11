"""What bounds it: each verdict from figures of its kind, and from any figures at all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.bench.figures import Figures
from gadgetip.bench.verdict import Bound, Interface, judge

DISK = Figures(
    active_s=10.0,
    bytes_in=15_000_000,
    bytes_out=4_300,
    urbs_in=385,
    urbs_out=138,
    discarded=0,
    halts=0,
    errors=0,
    round_trip_s=0.052,
    shortest_round_trip_s=0.05,
    retransmits=0,
    user_s=1.0,
    system_s=0.5,
    busiest_thread=0.15,
    machine=0.15,
    processors=2,
)
"""A disk that is read at 50 ms, as it was measured: 13.8 commands a second."""
KEYS = replace(DISK, bytes_in=800, bytes_out=0, urbs_in=100, urbs_out=0)
ETHERNET = Interface("eth0", 100e6)


def test_the_round_trip_with_its_arithmetic() -> None:
    verdict = judge(DISK, window_urbs=8)
    assert verdict.bound is Bound.ROUND_TRIP
    assert "13.8 exchanges a second" in verdict.text
    assert "50 ms each are 69 % of the time; 109 kB move in one" in verdict.text


@pytest.mark.parametrize(
    ("changed", "bound", "said"),
    [
        ({"shortest_round_trip_s": 0.001}, Bound.ENDS, "1 % of the time"),
        # The device's own time is in the smoothed one: without the other it is all that there is.
        ({"shortest_round_trip_s": None}, Bound.ROUND_TRIP, "52 ms each"),
        ({"shortest_round_trip_s": None, "round_trip_s": None}, Bound.UNKNOWN, "link was lost"),
        ({"busiest_thread": 0.97}, Bound.PROCESSOR, "one thread is busy 97 %"),
        ({"machine": 0.99}, Bound.PROCESSOR, "busy 99 % of the time, 8 % with"),
        ({"urbs_in": None, "urbs_out": None}, Bound.UNKNOWN, "counts no URBs"),
        ({"bytes_in": 115_000_000}, Bound.BANDWIDTH, "11.5 MB/s towards the host are 92 %"),
        ({"bytes_out": 115_000_000}, Bound.BANDWIDTH, "to the device are 92 % of the 100 Mbit/s"),
        ({"busiest_thread": None, "machine": None, "urbs_out": 0}, Bound.ENDS, "0 exchanges"),
    ],
)
def test_each_of_them(changed: dict[str, float | None], bound: Bound, said: str) -> None:
    verdict = judge(replace(DISK, **changed), interface=ETHERNET)  # type: ignore[arg-type]
    assert verdict.bound is bound
    assert said in verdict.text


def test_a_window_that_is_full() -> None:
    # 64 URBs of 512 bytes a round trip of 50 ms, one way.
    stream = replace(DISK, bytes_in=6_553_600, bytes_out=0, urbs_in=12_800, urbs_out=0)
    full = judge(stream, window_urbs=64)
    assert full.bound is Bound.ROUND_TRIP
    assert "64 URBs of 512 B are under way at a time, of 64" in full.text
    assert judge(stream, window_urbs=128).bound is Bound.ENDS
    assert judge(stream).bound is Bound.ENDS


def test_someone_who_types_is_not_bound_by_the_link() -> None:
    assert judge(KEYS, window_urbs=2).bound is Bound.ENDS


def test_one_that_is_pipelined_both_ways_is_judged_by_its_window() -> None:
    network = replace(DISK, urbs_in=1000, urbs_out=1000)  # five under way each way
    assert judge(network, window_urbs=64).bound is Bound.ENDS
    assert judge(network, window_urbs=6).bound is Bound.ROUND_TRIP


_COUNTS = st.integers(0, 10**12)
_MAYBE = st.none() | _COUNTS
_SECONDS = st.floats(0, 1e4)


@given(
    st.builds(
        Figures,
        active_s=st.floats(0.001, 3600),
        bytes_in=_COUNTS,
        bytes_out=_COUNTS,
        urbs_in=_MAYBE,
        urbs_out=_MAYBE,
        discarded=_MAYBE,
        halts=_MAYBE,
        errors=_MAYBE,
        round_trip_s=st.none() | _SECONDS,
        shortest_round_trip_s=st.none() | _SECONDS,
        retransmits=_MAYBE,
        user_s=_SECONDS,
        system_s=_SECONDS,
        busiest_thread=st.none() | st.floats(0, 2),
        machine=st.none() | st.floats(0, 1),
        processors=st.integers(1, 64),
    ),
    st.none() | st.integers(1, 1024),
    st.none() | st.builds(Interface, st.just("eth0"), st.floats(0, 1e11)),
)
def test_any_figures_have_a_verdict(
    figures: Figures, window_urbs: int | None, interface: Interface | None
) -> None:
    verdict = judge(figures, window_urbs=window_urbs, interface=interface)
    assert verdict.text
    if (figures.busiest_thread or 0) >= 0.85:
        assert verdict.bound is Bound.PROCESSOR
    if figures.shortest_round_trip_s == 0:
        assert verdict.bound is not Bound.ROUND_TRIP
