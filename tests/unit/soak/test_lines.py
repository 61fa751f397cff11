"""The serial load's oracle: what is missing, doubled and invented, and what was reported."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.soak.lines import ECHO_S, LENGTH, Gap, LineOracle, line, number_of
from tests.soak.reports import Report, unreported

TEXT = b"".join(line("D", number) for number in range(20))


def hearing(*pieces: bytes) -> LineOracle:
    oracle = LineOracle("D", "H", 0)
    for at, piece in enumerate(pieces):
        oracle.heard(piece, at + 100)
    return oracle


@given(st.integers(0, 99_999_999))
def test_a_line_has_its_length_and_number(number: int) -> None:
    assert len(line("D", number)) == LENGTH
    assert number_of("D", line("D", number)) == number
    assert number_of("H", line("D", number)) is None


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_everything_in_pieces_is_everything(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    oracle = hearing(*(TEXT[a:b] for a, b in pairwise(places)))
    oracle.finish(20, 200)
    assert (oracle.received, oracle.gaps, oracle.faults) == (20, [], [])


@given(st.integers(0, 18 * LENGTH), st.integers(1, 18 * LENGTH))
def test_any_gap_is_found_with_its_size(begin: int, size: int) -> None:
    end = min(begin + size, 18 * LENGTH)
    oracle = hearing(TEXT[:begin] + TEXT[end:])
    oracle.finish(20, 200)
    assert oracle.faults == []
    assert sum(gap.bytes for gap in oracle.gaps) == end - begin


@given(st.integers(1, 18 * LENGTH), st.integers(1, 4 * LENGTH))
def test_doubled_bytes_are_found(end: int, size: int) -> None:
    again = TEXT[max(end - size, 0) : end]
    oracle = hearing(TEXT[:end] + again + TEXT[end:])
    oracle.finish(20, 200)
    assert oracle.faults


@given(st.integers(0, 18 * LENGTH), st.binary(min_size=1, max_size=200))
def test_invented_bytes_are_found(at: int, extra: bytes) -> None:
    oracle = hearing(TEXT[:at] + extra + TEXT[at:])
    oracle.finish(20, 200)
    assert oracle.faults


def test_the_end_that_does_not_come_is_a_gap() -> None:
    oracle = hearing(TEXT[:-10])
    oracle.finish(20, 200)
    assert [gap.bytes for gap in oracle.gaps] == [10]


def test_what_was_half_read_when_an_end_was_closed() -> None:
    oracle = hearing(TEXT[: 3 * LENGTH + 10])
    oracle.reader_opened(103)
    oracle.heard(TEXT[5 * LENGTH + 20 :], 104)
    oracle.finish(20, 200)
    assert oracle.faults == []
    assert [(gap.first, gap.cut) for gap in oracle.gaps] == [(3, True)]


def test_an_old_line_in_a_new_session_is_doubled() -> None:
    oracle = hearing(TEXT[: 3 * LENGTH])
    oracle.reader_opened(103)
    oracle.heard(TEXT[2 * LENGTH :], 104)
    assert oracle.faults


def test_an_echo_is_left_out_when_an_end_was_just_opened() -> None:
    oracle = hearing(TEXT[: 3 * LENGTH])
    oracle.opened(110)
    oracle.heard(line("H", 4), 110 + ECHO_S / 2)
    assert (oracle.echoes, oracle.faults) == (1, [])
    oracle.heard(line("H", 5), 110 + 2 * ECHO_S)
    assert oracle.faults


GAP = Gap(begin_s=50, end_s=60, first=3, bytes=100, cut=False)


def test_an_unreported_gap_is_found() -> None:
    assert unreported([GAP], [])
    assert unreported([GAP], [Report(20, "lost", 100), Report(80, "lost", 100)])


def test_a_gap_is_reported_at_its_size() -> None:
    assert not unreported([GAP], [Report(55, "at most 120 bytes", 120)])
    assert not unreported([GAP], [Report(52, "60 bytes", 60), Report(58, "40 bytes", 40)])
    assert unreported([GAP], [Report(55, "60 bytes", 60)])
    assert unreported([GAP], [Report(55, "lost", None)])


def test_a_gap_across_a_closed_port_needs_any_report() -> None:
    cut = Gap(begin_s=50, end_s=60, first=3, bytes=100, cut=True)
    assert not unreported([cut], [Report(55, "link lost")])
    assert unreported([cut], [])
