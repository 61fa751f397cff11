"""Every wait of a system test is for an event, with a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05


def wait_for(condition: Callable[[], T | None], what: str, limit_s: float = 30.0) -> T:
    """Wait until `condition` gives something true; returns that."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(POLL_S)
