import json

from gadgetip.service.asking import MAX_LINE_BYTES
from gadgetip.supervisor.log_ring import LINES, MAX_LINE_CHARACTERS, LogRing


def test_the_last_lines_are_kept() -> None:
    ring = LogRing()
    for number in range(LINES + 5):
        ring.add(float(number), f"line {number}")
    lines = ring.last()
    assert len(lines) == LINES
    assert (lines[0].text, lines[-1].text) == ("line 5", f"line {LINES + 4}")
    assert [line.text for line in ring.last(2)] == [f"line {LINES + 3}", f"line {LINES + 4}"]
    assert ring.last(0) == []
    assert ring.newest == LINES + 5


def test_what_came_since() -> None:
    ring = LogRing()
    assert ring.newest == 0
    ring.add(1.0, "one")
    ring.add(2.0, "two")
    (two,) = ring.last(after=1)
    assert (two.number, two.at, two.text) == (2, 2.0, "two")
    assert ring.last(after=2) == []


def test_what_does_not_print() -> None:
    ring = LogRing()
    ring.add(1.0, "a\x1b[2J\nb")
    assert ring.last()[0].text == "a\\x1b[2J\\nb"


def test_an_answer_fits() -> None:
    ring = LogRing()
    for _ in range(LINES):
        ring.add(1.0, "\U0001f600" * 2 * MAX_LINE_CHARACTERS)
    lines = ring.last()
    assert lines
    asked = {"lines": [{"number": ln.number, "at": ln.at, "text": ln.text} for ln in lines]}
    assert len(json.dumps(asked)) < MAX_LINE_BYTES
