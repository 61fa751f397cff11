from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.matching import DeviceFacts, Match, best_fits, fits, specificity

KNOWN = DeviceFacts(
    busid="1-1.4",
    id="0781:5581",
    serial="4C53",
    names=("Ultra", "SanDisk Ultra"),
    classes=("00/00/00", "08/06/50"),
)
LISTED = DeviceFacts(busid="1-1.4", id="0781:5581", classes=("00/00/00",), classes_are_all=False)
"""What USB/IP's list tells of the same device."""
BARE = replace(KNOWN, serial="", names=(), classes=("ff/00/00",))


@pytest.mark.parametrize(
    ("match", "known", "listed", "bare"),
    [
        (Match(), True, True, True),
        (Match(ids=("0781:5581",)), True, True, True),
        (Match(ids=("0781:*",)), True, True, True),
        (Match(ids=("0483:*", "0781:558?")), True, True, True),
        (Match(ids=("0483:*",)), False, False, False),
        (Match(busids=("1-1*",)), True, True, True),
        (Match(busids=("1-1",)), False, False, False),
        (Match(serials=("4C*",)), True, None, False),
        (Match(serials=("4c*",)), False, None, False),
        (Match(serials=("*",)), True, None, False),
        (Match(names=("Ultra",)), True, None, False),
        (Match(names=("SanDisk *",)), True, None, False),
        (Match(names=("SanDisk",)), False, None, False),
        (Match(names=("*",)), True, None, False),
        (Match(classes=("08/*/*",)), True, None, False),
        (Match(classes=("00/00/00",)), True, True, False),
        (Match(classes=("03/*/*",)), False, None, False),
        (Match(ids=("0781:5581",), serials=("4C53",)), True, None, False),
        (Match(ids=("0483:*",), serials=("4C53",)), False, False, False),
        (Match(ids=("0781:5581",), excluded=Match(serials=("4C*",))), False, None, True),
        (Match(ids=("0781:5581",), excluded=Match(serials=("5D*",))), True, None, True),
        (Match(ids=("0781:5581",), excluded=Match(busids=("1-*",))), False, False, False),
        (Match(serials=("5D*",), excluded=Match(names=("x",))), False, None, False),
    ],
)
def test_what_is_known_decides(match: Match, known: bool, listed: bool | None, bare: bool) -> None:
    assert match.fits(KNOWN) is known
    assert match.fits(LISTED) is listed
    assert match.fits(BARE) is bare
    assert match.fits(DeviceFacts()) is (True if match == Match() else None)


def test_any_table_may_fit() -> None:
    yes, no, unsure = Match(ids=("0781:*",)), Match(ids=("0483:*",)), Match(serials=("4C53",))
    assert fits((no, yes), LISTED) is True
    assert fits((unsure, yes), LISTED) is True
    assert fits((no, unsure), LISTED) is None
    assert fits((no,), LISTED) is False
    assert fits((), LISTED) is False


ORDER = [
    Match(classes=("08/06/50",)),
    Match(names=("*",)),
    Match(names=("Ultra",)),
    Match(names=("Ultra",), classes=("08/06/50",)),
    Match(ids=("0781:*",)),
    Match(ids=("0781:5581", "0781:*")),
    Match(ids=("0781:5581",)),
    Match(ids=("0781:5581",), excluded=Match(serials=("x",))),
    Match(ids=("0781:5581",), classes=("08/*/*",)),
    Match(ids=("0781:5581",), names=("Ultra",)),
    Match(busids=("1-*",)),
    Match(busids=("1-1.4",)),
    Match(busids=("1-1.4",), ids=("0781:5581",)),
    Match(serials=("4C*",)),
    Match(serials=("4C53",)),
    Match(serials=("4C53",), busids=("1-*",)),
]


def test_the_more_specific_goes_first() -> None:
    ranks = [match.specificity for match in ORDER]
    assert ranks == sorted(ranks)
    for lesser, greater in pairwise(ORDER):
        if {lesser.ids, greater.ids} == {("0781:*",), ("0781:5581", "0781:*")}:
            assert lesser.specificity == greater.specificity
        else:
            assert best_fits([lesser, greater], lambda match: (match,), KNOWN) == (greater,)


def test_of_a_list_the_best_that_fits_counts() -> None:
    elsewhere, here = Match(serials=("5D64",)), Match(classes=("08/06/50",))
    assert specificity((elsewhere, here), KNOWN) == here.specificity
    assert specificity((elsewhere,), KNOWN) is None
    assert specificity((Match(serials=("4C53",)),), LISTED) is None
    rules = {"list": (elsewhere, here), "name": (Match(names=("Ultra",)),)}
    assert best_fits(rules, lambda name: rules[name], KNOWN) == ("name",)


def test_ties() -> None:
    rules = {
        "one": (Match(ids=("0781:5581",)),),
        "two": (Match(ids=("*:*",)), Match(ids=("0781:5581",))),
        "three": (Match(ids=("0781:*",)),),
    }
    assert best_fits(rules, lambda name: rules[name], KNOWN) == ("one", "two")
    assert best_fits(rules, lambda _: (), KNOWN) == ()


PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "a*", "[ab]", "?"]), max_size=2).map(tuple)
SIMPLE = st.builds(Match, PATTERNS, PATTERNS, PATTERNS, PATTERNS, PATTERNS)
MATCHES = st.builds(
    Match, PATTERNS, PATTERNS, PATTERNS, PATTERNS, PATTERNS, excluded=st.none() | SIMPLE
)
TEXTS = st.sampled_from(["a", "b", "ab"])
NAMES = st.lists(TEXTS, max_size=2).map(tuple)
COMPLETE = st.builds(DeviceFacts, TEXTS, TEXTS, TEXTS | st.just(""), NAMES, NAMES)


@given(MATCHES, COMPLETE, st.sets(st.sampled_from(["busid", "id", "serial", "names", "classes"])))
def test_learning_more_changes_no_answer(
    match: Match, facts: DeviceFacts, hidden: set[str]
) -> None:
    complete = match.fits(facts)
    assert complete is not None
    unknown: dict[str, Any] = dict.fromkeys(hidden)
    partly = match.fits(replace(facts, **unknown))
    assert partly in (None, complete)
    first = replace(facts, classes=(facts.classes or ())[:1], classes_are_all=False)
    assert match.fits(first) in (None, complete)
