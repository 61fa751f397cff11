"""A few sessions of each stub leave nothing; `make soak-sessions` is the same with hundreds."""

import pytest

from tests.system.endurance_server import filled_stick, soak
from tests.system.exporters import STUBS
from tests.system.stick import Stick

__all__ = ["filled_stick"]  # pytest finds a fixture where its name is

CYCLES = 5


@pytest.mark.parametrize("stub", STUBS)
def test_a_few_sessions_leave_nothing(stub: str, filled_stick: Stick) -> None:
    assert len(soak(stub, filled_stick, CYCLES)) == CYCLES
