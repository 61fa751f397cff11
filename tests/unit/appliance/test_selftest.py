"""The text that an owner of hardware sends back."""

from gadgetip.appliance.selftest import (
    QUESTIONS,
    Answer,
    BoardNow,
    questions,
    report_text,
)
from gadgetip.diagnosis import Finding, State

NOW = BoardNow(
    (("board", "Raspberry Pi Zero 2 W"), ("kernel", "6.12")),
    (
        Finding("board", "controller", State.FAILED, "there is none", "get one"),
        Finding("machine", "kernel", State.OK, "6.12"),
    ),
)


def test_the_report() -> None:
    text = report_text(NOW, {"power": Answer.YES, "cable": Answer.NO}, "a hub between")
    lines = text.splitlines()
    assert "* board: Raspberry Pi Zero 2 W" in lines
    assert "* [failed] board, controller: there is none" in lines
    assert [line[:12] for line in lines if line.startswith(("* [yes]", "* [no]"))] == [
        "* [yes] Powe",
        "* [no] With ",
    ]
    assert text.endswith("a hub between\n")
    assert [each.subject for each in NOW.failed] == ["controller"]


def test_nothing_was_asked() -> None:
    assert "nothing was asked" in report_text(NOW, {})


def test_a_board_that_was_not_flashed_has_no_lamp() -> None:
    everywhere = {each.key for each in questions(image=False)}
    assert everywhere >= {"power", "enumerated", "used", "unplugged", "cable", "network", "hours"}
    flashed = {each.key for each in QUESTIONS} - everywhere
    assert flashed >= {"lamp-running", "boot-time", "power-cut", "login", "watchdog", "update"}
    assert questions(image=True) == QUESTIONS
    assert len({each.key for each in QUESTIONS}) == len(QUESTIONS)
