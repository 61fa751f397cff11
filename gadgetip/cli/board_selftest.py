"""`gadgetip board selftest`: what has been seen of gadgetip on this hardware."""

import datetime as dt
import os
from pathlib import Path

import click

from gadgetip.appliance.selftest import (
    Answer,
    BoardNow,
    Question,
    answers_as_json,
    questions,
    report_text,
)
from gadgetip.appliance.selftest_here import board_now, is_image
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus, GadgetipError

EPILOG = """\b
Nothing of gadgetip has been tried on a real board, so a report of one is worth a lot. Some steps
take the device away while it is in use: take one whose data you can do without. The machine says
what it sees; then each step is explained and asked for: y, n, or s for "not tried". The text has
no serial numbers and no addresses. Read it, and send it with the name of your host and of your
cable to where you have gadgetip from.

\b
Exit status: 0 nothing was amiss; 1 a step failed; 6 a prerequisite is missing.

\b
Examples:
  sudo gadgetip board selftest
  sudo gadgetip board selftest --no-questions -o -
  gadgetip --on root@dongle.lan board selftest -o - >selftest.txt
"""

_ANSWERS = {"y": Answer.YES, "n": Answer.NO, "s": Answer.NOT_TRIED}


@click.command(epilog=EPILOG)
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Where to: a new file, or - for standard output.  [default: gadgetip-selftest-DATE.txt]",
)
@click.option("--no-questions", is_flag=True, help="Leave out what only a person can see.")
@common_options
def selftest(output: Output, file: Path | None, no_questions: bool) -> int:
    """Go through a checklist on real hardware, and write down what was seen."""
    now = board_now()
    _show(output, now)
    asked = () if no_questions or output.json else questions(image=is_image())
    answers = {each.key: _ask(each) for each in asked}
    remark = ""
    if asked:
        remark = click.prompt(
            "Anything else? Host, cable, device", default="", show_default=False, err=True
        )
    text = report_text(now, answers, remark)
    if output.json:
        output.result(
            {
                "about": dict(now.about),
                "findings": [each.as_json() for each in now.findings],
                "answers": answers_as_json(answers),
            }
        )
    elif file == Path("-"):
        click.echo(text, nl=False)
    else:
        file = file or Path(f"gadgetip-selftest-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}.txt")
        _write(file, text)
        output.say(f"{file}: read it before you send it")
    if now.failed:
        return ExitStatus.PREREQUISITE
    return ExitStatus.ERROR if Answer.NO in answers.values() else ExitStatus.DONE


def _show(output: Output, now: BoardNow) -> None:
    if output.json:
        return
    for name, text in now.about:
        output.detail(f"{name}: {text}")
    for finding in now.failed:
        output.warn(f"{finding.subject}: {finding.found}")
    if os.geteuid() != 0:
        output.warn("without root, parts are missing: sudo gadgetip board selftest has them all")


def _ask(question: Question) -> Answer:
    """Questions go to standard error: the report may go to standard output."""
    click.echo(safe(f"\n{question.do}"), err=True)
    answer = click.prompt(
        question.seen,
        type=click.Choice(tuple(_ANSWERS)),
        default="s",
        err=True,
    )
    return _ANSWERS[answer]


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise GadgetipError(f"{file} exists: remove it first, or choose another name") from None
    except OSError as error:
        raise GadgetipError(f"cannot write {file}: {error.strerror}") from None
