"""What has moved, over the channel from a worker that is not to be trusted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.attachment import Traffic
from gadgetip.attachment.counting import count_traffic
from gadgetip.attachment.traffic import pack_traffic, parse_traffic, traffic_of
from gadgetip.pump import EndpointStatistics
from tests.unit.pump.stub import tcp_pair

COUNTS = st.integers(0, 2**64)


@given(
    st.builds(
        Traffic,
        *[COUNTS] * 7,
        round_trip_s=st.none() | st.floats(0, 4000),
        shortest_round_trip_s=st.none() | st.floats(0, 4000),
        retransmits=st.none() | COUNTS,
        saved_round_trips=st.none() | COUNTS,
    )
)
def test_what_is_packed_is_read(traffic: Traffic) -> None:
    assert parse_traffic(pack_traffic(traffic)) == traffic


def fields(**changed: object) -> str:
    whole = json.loads(pack_traffic(Traffic(1, 2, 3, 4, 5, 6, 7, 0.001)))
    return json.dumps(whole | changed)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", "1", "[" * 100_000, "9" * 5000, "NaN", '{"bytes_in": 1}'),
        fields(extra=1),
        fields(bytes_in=-1),
        fields(bytes_in=1.5),
        fields(bytes_in=True),
        fields(bytes_in="1"),
        fields(halts=None),
        fields(round_trip_s=float("nan")),
        fields(round_trip_s=float("inf")),
        fields(round_trip_s=-1),
        fields(round_trip_s=True),
        fields(round_trip_s=10**400),
        fields(round_trip_s="1"),
        fields(shortest_round_trip_s=-1),
        fields(retransmits=1.5),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_traffic(text) is None


def test_whole_seconds_are_a_round_trip_too() -> None:
    assert parse_traffic(fields(round_trip_s=1)) == Traffic(1, 2, 3, 4, 5, 6, 7, 1)


def test_what_the_kernel_does_not_count_is_left_out_by_the_keeper_only() -> None:
    of_the_kernel = {**json.loads(pack_traffic(Traffic(1, 2))), "round_trip_s": 0.5}
    assert traffic_of(of_the_kernel) == Traffic(1, 2, round_trip_s=0.5)
    assert traffic_of(of_the_kernel | {"bytes_in": None}) is None
    assert parse_traffic(json.dumps(of_the_kernel)) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)


@settings(deadline=None)
@given(st.text(max_size=100) | st.dictionaries(st.sampled_from(["bytes_in", "halts"]), _JSON))
def test_any_text_does_no_harm(hostile: object) -> None:
    text = hostile if isinstance(hostile, str) else fields(**dict(hostile))  # type: ignore[call-overload]
    parsed = parse_traffic(text)
    assert parsed is None or parsed.bytes_in >= 0


def test_endpoints_are_added_up_by_their_direction() -> None:
    ours, theirs = tcp_pair()
    statistics = {
        0x81: EndpointStatistics(moved=5, urbs=1, discarded=2),
        0x82: EndpointStatistics(moved=7, urbs=2, halts=1),
        0x02: EndpointStatistics(moved=11, urbs=3, errors=4, discarded=1),
    }
    traffic = count_traffic(statistics, ours)
    assert (traffic.bytes_in, traffic.urbs_in) == (12, 3)
    assert (traffic.bytes_out, traffic.urbs_out) == (11, 3)
    assert (traffic.discarded, traffic.halts, traffic.errors) == (3, 1, 4)
    assert traffic.round_trip_s is not None
    assert traffic.retransmits == 0
    ours.close()  # as while the replica is held
    assert count_traffic(statistics, ours).round_trip_s is None
    theirs.close()
