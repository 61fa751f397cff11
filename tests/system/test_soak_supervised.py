"""Five minutes of the soak of supervised attachments (`tests.soak`); `make soak` takes thirty.

The seed is another one in each run and is printed: GADGETIP_SOAK_SEED repeats one.
"""

import os
import random
from pathlib import Path

import pytest

from tests.soak.soak import Plan, soak
from tests.soak.supervised import Supervised

SECONDS = float(os.environ.get("GADGETIP_SOAK_SECONDS", "300"))
SEED = int(os.environ.get("GADGETIP_SOAK_SEED", random.randrange(1 << 32)))


def test_nothing_is_lost_unsaid(capsys: pytest.CaptureFixture[str]) -> None:
    results = Path(os.environ.get("GADGETIP_RESULTS", "/tmp"))
    with capsys.disabled():
        summary = soak(Plan(SECONDS, SEED, "kernel", Supervised, results))
    assert summary["faults"] == [], f"seed {SEED}"
    assert summary["disturbances"] > 0
