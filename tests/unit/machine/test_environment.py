"""What a command in the guest is given from outside, and what not."""

from __future__ import annotations

from pathlib import Path

from tests.machine import environment


def test_only_what_is_meant_for_inside_goes_in() -> None:
    outside = {
        "GADGETIP_RESULTS": "/outside",
        "GADGETIP_SEED": "7",
        "HOME": "/home/me",
        "LD_PRELOAD": "/x",
        "PYTEST_ADDOPTS": "-x",
    }
    inside = environment.variables(outside, Path("/results"))
    assert inside["GADGETIP_SEED"] == "7"
    assert inside["PYTEST_ADDOPTS"] == "-x"
    assert inside["GADGETIP_RESULTS"] == "/results"
    assert inside["GADGETIP_BENCH"] == "guest"
    assert inside["HOME"] != "/home/me"
    assert "LD_PRELOAD" not in inside
