import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.cli.output import Output, safe


@given(st.text(alphabet=st.characters()))
def test_what_is_safe_is_one_line_of_printable_text(text: str) -> None:
    assert safe(text).isprintable()
    if text.isprintable():
        assert safe(text) == text


def test_tables_line_up_and_hold_no_surprises(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(("A", "LONG"), [("1", "x"), ("22\x1b[2J", "")])
    assert capsys.readouterr().out == ("A          LONG\n1          x\n22\\x1b[2J\n")


def test_quiet_and_json_say_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    for output in (Output(quiet=True), Output(json=True)):
        output.say("no")
        output.detail("no")
    Output().detail("no")
    assert capsys.readouterr().out == ""
    Output(verbosity=1).detail("yes")
    assert capsys.readouterr().out == "yes\n"


def test_events_are_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Output().event("no")
    Output(json=True).event("bound", text="\x1b\u202e\n", number=1)
    line = capsys.readouterr().out
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {"event": "bound", "text": "\x1b\u202e\n", "number": 1}


def test_warnings_go_where_people_look(capsys: pytest.CaptureFixture[str]) -> None:
    Output(quiet=True, json=True).warn("bytes \x07lost")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "note: bytes \\x07lost\n")
