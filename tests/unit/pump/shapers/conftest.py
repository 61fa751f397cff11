import pytest

from gadgetip.pump.shapers import base, in_shaper


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world of these tests has no time: what waits for some would wait for ever."""
    monkeypatch.setattr(base, "REARM_S", (0.0, 0.0))
    monkeypatch.setattr(base, "AGAIN_S", 0.0)
    monkeypatch.setattr(in_shaper, "DRAIN_POLL_S", 0.0)
