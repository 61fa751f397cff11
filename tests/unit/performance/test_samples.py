import json

from tests.performance.samples import read, written
from tests.unit.performance.made import results


def test_what_is_written_is_read() -> None:
    assert read(written(results())) == results()


def test_a_sample_is_a_line() -> None:
    made = results()
    lines = [line for line in written(made).splitlines() if '"round_trip_ms"' in line]
    assert len(lines) == len(made.samples)
    assert list(json.loads(written(made))) == [
        *("about", "paths", "left_out", "counted", "failed", "samples")
    ]


def test_without_samples() -> None:
    made = results()
    empty = type(made)(made.about, made.paths, made.left_out, [])
    assert read(written(empty)) == empty


def test_values_are_of_one_cell() -> None:
    made = results()
    assert made.values("direct", "seqread", "mb_per_s", 0) == [30.3, 30.6, 30.900000000000002]
    assert made.values("direct", "seqread", "mb_per_s", 10) == []
    assert made.values("vhci", "report", "p99_ms", 10) == [14.0] * 3
    assert made.round_trips == [0, 10]
    assert made.works == ["seqread", "report"]
