"""The intervals between reports, through a real pipe and from events as the kernel writes them."""

import os
import struct
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.bench.reports import opened_input, reduce_reports, report_times, time_reports
from gadgetip.errors import UsageError

EVENT = struct.Struct("@llHHi")


def event(at_us: int, kind: int, code: int, value: int) -> bytes:
    return EVENT.pack(at_us // 10**6, at_us % 10**6, kind, code, value)


def test_a_report_ends_with_syn_report() -> None:
    key = event(1_000_500, 1, 30, 1) + event(1_000_500, 0, 0, 0)
    repeated = event(1_250_000, 1, 30, 2) + event(1_250_000, 0, 0, 1)
    moved = event(2_000_000, 2, 0, 5) + event(2_000_000, 2, 1, -5) + event(2_000_000, 0, 0, 0)
    dropped = event(2_100_000, 0, 3, 0)
    assert report_times(key + repeated + moved + dropped) == [1.0005, 2.0]


@given(st.binary())
def test_any_bytes_do_no_harm(data: bytes) -> None:
    assert len(report_times(data)) <= len(data) // EVENT.size


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_intervals_and_pauses_are_all_there_is(times: list[float]) -> None:
    ordered = sorted(times)
    reports = reduce_reports(ordered)
    assert reports.count == len(times)
    counted = 0 if reports.intervals is None else reports.intervals.count
    assert counted + reports.pauses == max(len(times) - 1, 0)


def test_a_mouse_that_is_moved() -> None:
    reports = reduce_reports([n * 0.008 for n in range(100)] + [5 + n * 0.008 for n in range(101)])
    assert (reports.count, reports.pauses) == (201, 1)
    assert reports.intervals is not None
    assert reports.intervals.p50_s == pytest.approx(0.008)
    assert reports.intervals.p99_s == pytest.approx(0.008)


def test_reports_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hidraw9"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    paced = threading.Event()

    def type_on() -> None:
        for _ in range(5):
            os.write(writer, bytes(8))
            paced.wait(0.02)

    thread = threading.Thread(target=type_on)
    thread.start()
    with opened_input(path) as file:
        reports = time_reports(file, path, 1.0)
    thread.join()
    os.close(writer)
    os.close(reader)
    assert 1 <= reports.count <= 5
    assert reports.pauses == 0


def test_events_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "event9"
    times = [1_000_000, 1_008_000, 1_016_500]
    path.write_bytes(b"".join(event(at, 0, 0, 0) for at in times))
    assert [b - a for a, b in pairwise(report_times(path.read_bytes()))] == pytest.approx(
        [0.008, 0.0085]
    )


@pytest.mark.parametrize(
    ("path", "said"), [("/dev/null", "is no input device"), ("/nowhere/hidraw0", "No such file")]
)
def test_what_is_no_input_device(path: str, said: str) -> None:
    with pytest.raises(UsageError, match=said), opened_input(Path(path)):
        pass
