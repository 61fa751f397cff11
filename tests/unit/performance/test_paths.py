import pytest

from gadgetip.pump.native_module import native_module
from tests.performance.__main__ import available, chosen
from tests.performance.paths import PATHS, Offered, offered

EVERY = tuple(path.name for path in PATHS)


def names(offered: Offered) -> list[str]:
    return [path.name for path in available(EVERY, offered)[0]]


def test_a_checkout_with_one_pump() -> None:
    paths, left_out = available(EVERY, Offered(frozenset(), ""))
    assert [path.name for path in paths] == [
        *("direct", "vhci", "vhci-again", "gadgetip-vhci", "gadget-python")
    ]
    assert left_out["gadget-native"] == "`gadgetip attach` has no --pump native"


def test_pumps_for_replicas_alone() -> None:
    found = names(Offered(frozenset({"auto", "native", "python"}), ""))
    assert found == [name for name in EVERY if name != "vhci-pump"]


def test_everything() -> None:
    assert names(Offered(frozenset({"auto", "native", "python", "kernel"}), "")) == list(EVERY)


def test_a_module_that_does_not_load() -> None:
    why = "ModuleNotFoundError: No module named 'gadgetip.pump._native'"
    _, left_out = available(EVERY, Offered(frozenset({"native", "python", "kernel"}), why))
    assert left_out == {"gadget-native": why, "vhci-pump": why}


def test_what_is_chosen() -> None:
    assert chosen("", EVERY, "path") == EVERY
    assert chosen("vhci, direct", EVERY, "path") == ("direct", "vhci")
    with pytest.raises(SystemExit, match="no path is called nonsense"):
        chosen("nonsense", EVERY, "path")


def test_what_this_checkout_offers() -> None:
    found = offered()
    assert {"auto", "native", "python"} <= found.pumps
    assert bool(found.native) == (native_module() is None)
