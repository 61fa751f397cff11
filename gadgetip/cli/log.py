"""`gadgetip log`: what an attachment has said."""

import time
from datetime import datetime
from typing import Any

import click

from gadgetip.cli.completing import attachment_names
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.cli.supervisor_client import ask_again, ask_supervisor

FOLLOW_S = 0.5

EPILOG = """\b
The supervisor keeps the last 1000 lines of each attachment; the journal has all of them:
journalctl -u gadgetip. With -f a supervisor that is started anew is waited for, 30 s at most.

\b
Examples:
  gadgetip log stick
  gadgetip log stick -n 20 -f
"""


@click.command("log", epilog=EPILOG)
@click.argument("name", metavar="NAME", shell_complete=attachment_names)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is said next, until Ctrl-C.")
@click.option(
    "-n", "lines", type=click.IntRange(0, 1000), default=1000, metavar="N", help="The last N lines."
)
@common_options
def log_command(output: Output, name: str, follow: bool, lines: int) -> None:
    """Show what happened to an attachment, with times."""
    answer = ask_supervisor("log", name=name, lines=lines, after=0)
    _show(output, answer["lines"])
    while follow:
        time.sleep(FOLLOW_S)
        before = answer
        answer = ask_again(output, "log", name=name, lines=1000, after=before["newest"])
        if answer["supervisor"] != before["supervisor"] or answer["newest"] < before["newest"]:
            # It counts from 1 again: a supervisor that was started anew, or an attachment.
            answer = ask_again(output, "log", name=name, lines=1000, after=0)
        _show(output, answer["lines"])


def _show(output: Output, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        output.event("log", at=line["at"], text=line["text"])
        if not output.json:
            at = datetime.fromtimestamp(line["at"]).astimezone()
            click.echo(f"{at:%Y-%m-%d %H:%M:%S} {safe(line['text'])}")
