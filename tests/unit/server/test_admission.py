import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.server.admission import (
    BURST_S,
    MAX_BUCKETS,
    MAX_KINDS,
    MAX_TALKING,
    MAX_TALKING_PER_CLIENT,
    ConnectionLimits,
    LineLimiter,
    client_network,
    session_refusal,
)


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 0.3)), max_size=200),
)
def test_no_client_gets_more_than_its_rate_and_none_is_disturbed(
    rate: int, arrivals: list[tuple[str, float]]
) -> None:
    limits = ConnectionLimits(rate)
    now = 0.0
    admitted: dict[str, list[float]] = {"a": [], "b": []}
    refused: dict[str, int] = {"a": 0, "b": 0}
    for client, pause in arrivals:
        now += pause
        if limits.enter(client, now) is None:
            admitted[client].append(now)
            limits.leave(client)
        else:
            refused[client] += 1
    for client, times in admitted.items():
        for start in times:
            for end in times:
                if end >= start:
                    within = [t for t in times if start <= t <= end]
                    assert len(within) <= rate * BURST_S + rate * (end - start) + 1
        if refused[client]:
            assert len(times) >= rate  # it had its share first
    assert limits.talking == 0


def test_a_client_that_asks_for_nothing_has_a_bound_and_so_have_all_of_them() -> None:
    limits = ConnectionLimits(1000)
    for _ in range(MAX_TALKING_PER_CLIENT):
        assert limits.enter("a", 0.0) is None
    refusal = limits.enter("a", 0.0)
    assert refusal is not None
    assert "have not asked" in refusal
    assert limits.enter("b", 0.0) is None
    limits.leave("a")
    assert limits.enter("a", 0.0) is None
    for number in range(MAX_TALKING - MAX_TALKING_PER_CLIENT - 1):
        assert limits.enter(f"c{number}", 0.0) is None
    assert limits.enter("d", 0.0) is not None
    assert limits.talking == MAX_TALKING


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::%eth0/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_whom_a_connection_is_counted_for(address: str, network: str) -> None:
    assert client_network(address) == network


def test_one_ipv6_network_does_not_get_every_place() -> None:
    limits = ConnectionLimits(1000)
    refusals = [limits.enter(f"2001:db8::{number:x}", 0.0) for number in range(MAX_TALKING)]
    assert refusals.count(None) == MAX_TALKING_PER_CLIENT
    assert limits.enter("192.0.2.7", 0.0) is None
    for number in range(MAX_TALKING_PER_CLIENT):
        limits.leave(f"2001:db8::{number:x}")
    assert limits.talking == 1


def test_whoever_holds_most_makes_room() -> None:
    limits = ConnectionLimits(1000)
    for number in range(MAX_TALKING):
        assert limits.enter(f"198.51.100.{number % 4}", 0.0) is None
    asked = []

    def make_room(network: str) -> bool:
        asked.append(network)
        limits.leave(network)
        return True

    assert limits.enter("192.0.2.7", 0.0) is not None  # nobody can be asked
    assert limits.enter("192.0.2.7", 0.0, lambda network: False) is not None
    assert limits.enter("192.0.2.7", 0.0, make_room) is None
    assert asked == ["198.51.100.0"]
    assert limits.talking == MAX_TALKING
    # Who holds as many as anybody gets no more.
    assert limits.enter("198.51.100.1", 0.0, make_room) is not None
    assert len(asked) == 1


def test_a_refused_connection_does_not_count_as_talking() -> None:
    limits = ConnectionLimits(1)
    limits.enter("a", 0.0)
    limits.enter("a", 0.0)
    assert limits.enter("a", 0.0) is not None
    assert limits.talking == 2


def test_many_addresses_take_a_bounded_memory() -> None:
    limits = ConnectionLimits(5)
    for number in range(MAX_BUCKETS + 500):
        if limits.enter(str(number), number * 1e-6) is None:
            limits.leave(str(number))
    assert len(limits._buckets) <= MAX_BUCKETS


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        ([], None),
        (["a", "b"], None),
        (["a", "a"], "max_sessions_per_client is 2"),
        (["b", "b", "b"], "max_sessions is 3"),
    ],
)
def test_sessions(clients: list[str], expected: str | None) -> None:
    refusal = session_refusal(clients, "a", max_sessions=3, max_sessions_per_client=2)
    assert (refusal is None) if expected is None else (refusal and expected in refusal)


def test_one_line_a_second() -> None:
    limiter = LineLimiter()
    assert [limiter.admit("x", t) for t in (0.0, 0.1, 0.2)] == [0, None, None]
    assert limiter.admit("y", 0.3) == 0
    assert limiter.admit("x", 1.1) == 2
    assert limiter.admit("x", 2.2) == 0


def test_a_few_lines_at_once() -> None:
    limiter = LineLimiter(burst=3)
    assert [limiter.admit("x", t) for t in (0.0, 0.1, 0.2, 0.3, 0.9)] == [0, 0, 0, None, None]
    assert limiter.admit("x", 1.0) == 2
    assert limiter.admit("x", 1.5) is None
    assert [limiter.admit("x", 9.0) for _ in range(4)] == [1, 0, 0, None]


def test_many_kinds_of_lines_take_a_bounded_memory() -> None:
    limiter = LineLimiter()
    for number in range(MAX_KINDS + 500):
        assert limiter.admit(str(number), number * 1e-6) == 0
    assert len(limiter._next) <= MAX_KINDS
