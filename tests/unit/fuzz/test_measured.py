import pytest

from tests.fuzz import measured
from tests.fuzz.measured import LONG_RUN, Meter


@pytest.mark.parametrize(("step_kib", "grows"), [(0, False), (5, False), (200, True)])
def test_growth_is_noticed(step_kib: int, *, grows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = iter(range(10_000, 1_000_000, step_kib) if step_kib else [10_000] * 100)
    monkeypatch.setattr(measured, "rss_kib", lambda: next(memory))
    meter = Meter(0.0, LONG_RUN)
    while not meter.count(LONG_RUN // 20):
        pass
    assert bool(meter.growth) is grows
