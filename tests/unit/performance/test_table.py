import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.performance import table
from tests.performance.works import WORKS
from tests.unit.performance.made import PATHS, results


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line.strip("|").split("|") for line in text.splitlines()]
    assert len({len(line) for line in lines}) == 1
    return [[each.strip() for each in line] for line in lines[2:]]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.034, "0.03"), (99.994, "99.99"), (123.45, "123.5"), (12345.6, "12346")]
)
def test_numbers(value: float, shown: str) -> None:
    assert table.number(value) == shown


@given(st.lists(st.floats(0, 1e6), min_size=2))
def test_a_cell_has_median_and_spread(values: list[float]) -> None:
    shown = table.cell(values)
    assert shown.endswith(f"({table.number(min(values))} to {table.number(max(values))})")


def test_cells_of_few() -> None:
    assert table.cell([]) == "-"
    assert table.cell([2.0]) == "2.00"


def test_against_targets() -> None:
    shown = rows(table.against_targets(results(), WORKS))
    found = {(row[0], row[1], row[2]): row[3:] for row in shown}
    assert found["sequential read, MB/s", "gadget-native", "0 ms"] == [
        *("11.22", "C 10.20", "1.10", "≥ 1.05", "yes")
    ]
    assert found["sequential read, MB/s", "gadget-native", "10 ms"][-1] == "**no**"
    assert found["sequential read, MB/s", "vhci-pump", "0 ms"][-3:] == ["0.80", "≥ 0.9", "**no**"]
    assert found["keyboard report p99, ms", "gadget-native", "10 ms"][-2:] == ["≤ 1.05", "yes"]
    assert not any(path == "gadget-python" for _, path, _ in found)


def test_noise() -> None:
    said = table.noise(results(), WORKS)
    assert "at the most by 10 % (sequential read, MB/s at " in said
    made = results()
    left = [sample for sample in made.samples if sample.path != "vhci-again"]
    assert "vhci-again" in table.noise(type(made)(made.about, made.paths, {}, left), WORKS)


def test_distances() -> None:
    assert rows(table.distances(results()))[1] == ["10 ms", "10.50 (10.50 to 10.50)"]


def test_medians_have_a_column_a_path() -> None:
    first, *_ = rows(table.medians(results(), WORKS, 0))
    assert len(first) == 1 + len(PATHS)
    assert first[PATHS.index("direct") + 1] == "30.60 (30.30 to 30.90)"
    assert first[PATHS.index("vhci-pump") + 1].endswith(", 0.80 vhci")


def test_processor() -> None:
    found = rows(table.processor(results(), WORKS))
    read, report = found[0], found[2]
    assert read[2 + PATHS.index("vhci")] == "0 / 512.0"
    assert read[2 + PATHS.index("gadget-native")] == "256.0 / 512.0"
    assert report[2 + PATHS.index("gadget-native")] == "0.98 / 1.95"
    assert found[1][2 + PATHS.index("direct")] == "-"


def test_memory() -> None:
    assert ["gadget-native", "2.0", "4.0"] in rows(table.memory(results()))
    assert not any(row[0] == "vhci" for row in rows(table.memory(results())))


def test_the_report_has_everything() -> None:
    text = table.report(results(), WORKS)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# What `make bench` measured",
        *("## Against the targets", "## Noise", "## How far the server was"),
        *("## At 0 ms", "## At 10 ms", "## Processor", "## Memory", "## A URB", "## Paths"),
        "## Failed",
    ]
    assert "* `gone`: left out, why." in text
    assert "* it: broke" in text


def test_what_a_urb_costs() -> None:
    native, python = rows(table.urbs(results(), WORKS))
    assert native[:7] == [
        *("sequential read", "gadget-native", "900", "12.40", "80.00", "0.06 (≤ 0.1: yes)", "1.50")
    ]
    assert native[7] == "epoll_wait 0.70, io_submit 0.50"
    assert python[5] == ""


def test_a_busy_computer_is_told() -> None:
    made = results()
    assert "busy" not in table.distances(made)
    slow = [
        dataclasses.replace(each, measured_round_trip_ms=each.round_trip_ms + 4)
        for each in made.samples
    ]
    assert "not for quoting" in table.distances(dataclasses.replace(made, samples=slow))
