from hypothesis import given
from hypothesis import strategies as st

from gadgetip.attachment.backoff import JITTER, MAXIMUM_S, MINIMUM_S, STABLE_S, Backoff


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_pauses_double_up_to_the_maximum_and_begin_again() -> None:
    backoff = Backoff(uniform=middle)
    assert [backoff.pause() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.lasted(STABLE_S - 1)
    assert backoff.pause() == 30
    backoff.lasted(STABLE_S)
    assert [backoff.pause() for _ in range(2)] == [0.5, 1]
    backoff.reset()
    assert backoff.pause() == 0.5


@given(st.lists(st.floats(1 - JITTER, 1 + JITTER), min_size=1, max_size=20))
def test_jitter_stays_within_the_bounds(factors: list[float]) -> None:
    left = iter(factors)
    backoff = Backoff(uniform=lambda low, high: min(max(next(left), low), high))
    assert all(MINIMUM_S <= backoff.pause() <= MAXIMUM_S for _ in factors)
