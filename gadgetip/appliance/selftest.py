"""The selftest of a board: what the machine can say of itself, and what only its owner sees.

None of this project's tests has ever run on real hardware: what is written here is the list of what
nobody has seen. An owner who goes through it and sends the text back turns a claim into a fact.
The machine's part has no effects; the owner's part is a list of questions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gadgetip.diagnosis.finding import Finding, State


class Answer(StrEnum):
    """What the owner says to a question."""

    YES = "yes"
    NO = "no"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Question:
    """Something to do, and what should be seen; `image` is for boards that were flashed."""

    key: str
    do: str
    seen: str
    image: bool = False


QUESTIONS = (
    Question(
        "power",
        "Power the board by nothing but the cable to the host, and start it.",
        "Does it start, and stay on?",
    ),
    Question(
        "lamp-booting",
        "Watch the lamp while the board starts.",
        "Does it flash quickly (five times a second), and then change?",
        image=True,
    ),
    Question(
        "lamp-running",
        "Have the device plugged in at the server, and the cable in the host.",
        "Does the lamp stay on?",
        image=True,
    ),
    Question(
        "boot-time",
        "Pull the power, connect it again, and count.",
        "Does the lamp stay on within a minute?",
        image=True,
    ),
    Question(
        "enumerated",
        "Look at the host: lsusb, the Device Manager, System Information.",
        "Is the device there, under its own name and ids?",
    ),
    Question(
        "used",
        "Use the device on the host: copy a file both ways, type, print, measure.",
        "Does it do what it does when it is plugged in directly?",
    ),
    Question(
        "unplugged",
        "Unplug the device at the server; after ten seconds, plug it in again.",
        "Does it vanish from the host, and come back?",
    ),
    Question(
        "cable",
        "With separate power: pull the cable out of the host, and put it in again.",
        "Does the host see the device again?",
    ),
    Question(
        "network",
        "Take the network away for a minute (pull its cable, switch the access point off).",
        "Does the device work again within a minute of the network's return?",
    ),
    Question(
        "lamp-server",
        "Watch the lamp while the network is away.",
        "Is it slow, a second on and a second off?",
        image=True,
    ),
    Question(
        "power-cut",
        "Pull the power five times while the device is in use, ten seconds each.",
        "Did the board come up each time, with the device?",
        image=True,  # the root of any other system is written to, and may not survive it
    ),
    Question(
        "card",
        "After that, put the card into a PC, and look at it.",
        "Does the PC say nothing of a damaged drive, and does gadgetip.toml open?",
        image=True,
    ),
    Question(
        "passphrase",
        "Over Wi-Fi: look at psk in gadgetip.toml on that card.",
        'Does it say "moved"?',
        image=True,
    ),
    Question(
        "problem",
        'Write hostname = "not a name" into gadgetip.toml on a PC, and start the board with it.',
        "Does the lamp flash three times and pause, and is gadgetip-problem.txt on the card?",
        image=True,
    ),
    Question(
        "login",
        "Log in from another machine: ssh root@dongle.local, with the board's own name.",
        "Does it take your key, and ask for no password?",
        image=True,
    ),
    Question(
        "watchdog",
        "Log in, and stop what feeds the watchdog: systemctl kill -s STOP gadgetip-watch",
        "Does the board start anew by itself within two minutes?",
        image=True,
    ),
    Question(
        "update",
        "Update it: gadgetip --on root@dongle.local board update gadgetip-BOARD.img.xz",
        "Does it come up with the other slot (gadgetip board slots), and the device with it?",
        image=True,
    ),
    Question(
        "update-cut",
        "Begin another update, and pull the power in the middle of it.",
        "Does the board come up with the slot that it had?",
        image=True,
    ),
    Question(
        "firmware",
        "With the board running already, start the host, and open its boot menu.",
        "Does its BIOS see the device (a stick, a keyboard)?",
    ),
    Question(
        "wifi",
        "Over Wi-Fi: ping the board from the server for a minute.",
        "Are all answers there within 50 ms?",
    ),
    Question(
        "hours",
        "Leave the device attached over night, in use if you can.",
        "Does it work in the morning without any help?",
    ),
)


@dataclass(frozen=True, slots=True)
class BoardNow:
    """What the machine says of itself: lines for the head of the report, and the doctor's findings.

    `about` has a name and a text each: model, kernel, controllers and so on.
    """

    about: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What makes it impossible to be a board."""
        return tuple(each for each in self.findings if each.state is State.FAILED)


def questions(*, image: bool) -> tuple[Question, ...]:
    """The questions for a board that was flashed, or set up on an existing system."""
    return tuple(each for each in QUESTIONS if image or not each.image)


def report_text(now: BoardNow, answers: Mapping[str, Answer], remark: str = "") -> str:
    """The text to send back."""
    lines = ["# gadgetip board selftest", ""]
    lines += [f"* {name}: {text}" for name, text in now.about]
    lines += ["", "## What the machine says", ""]
    lines += _found(now.findings)
    lines += ["", "## What its owner says", ""]
    lines += [
        f"* [{answers[each.key]}] {each.do} {each.seen}"
        for each in QUESTIONS
        if each.key in answers
    ] or ["nothing was asked"]
    if remark:
        lines += ["", "## Remarks", "", remark]
    return "\n".join(lines) + "\n"


def _found(findings: Iterable[Finding]) -> list[str]:
    return [f"* [{each.state}] {each.role}, {each.subject}: {each.found}" for each in findings] or [
        "nothing was looked at"
    ]


def answers_as_json(answers: Mapping[str, Answer]) -> dict[str, str]:
    """Each key of a question with its answer."""
    return {key: str(answer) for key, answer in answers.items()}
