"""`gadgetip status`: how the attachments are."""

import time
from typing import Any

import click

from gadgetip.cli.completing import attachment_names
from gadgetip.cli.output import Output, common_options
from gadgetip.cli.status_text import HEADER, figures, reasons, row
from gadgetip.cli.supervisor_client import ask_again, ask_supervisor

WATCH_S = 1.0
CLEAR = "\x1b[H\x1b[2J"

EPILOG = """\b
HOST      yes: the host has configured the replica; no: it has not, or the cable ends nowhere
IN        bytes towards the host; OUT towards the device, since it was attached
RTT       the round trip to the server, as the kernel smoothes it
ERRORS    URBs that failed, since it was attached
LOSSES    of the device or the link, RESTARTS after crashes: since the supervisor started

\b
With NAME, or -v, a line for each says what else was counted: URBs both ways, halted
endpoints, and bytes that one side was told were taken and the other never got. On vhci the
kernel carries the traffic, and what it does not count is "-".

\b
Examples:
  gadgetip status
  gadgetip status stick --json
  gadgetip status --watch
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=attachment_names)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@common_options
def status(output: Output, names: tuple[str, ...], watch: bool) -> None:
    """Show the state of each attachment, since when, why, and what has moved."""
    answer = ask_supervisor("status", names=list(names))
    while True:
        if watch and not output.json:
            click.echo(CLEAR, nl=False)
        _show(output, answer, watch, more=bool(names or output.verbosity))
        if not watch:
            return
        time.sleep(WATCH_S)
        answer = ask_again(output, "status", names=list(names))


def _show(output: Output, answer: dict[str, Any], watch: bool, *, more: bool) -> None:
    found = {key: answer[key] for key in ("supervisor", "attachments")}
    if output.json and watch:
        output.event("status", **found)
    elif output.json:
        output.result(found)
    elif not found["attachments"]:
        click.echo(f"{found['supervisor']['config']} lists no attachment")
    else:
        now = time.time()
        output.table(HEADER, [row(each, now) for each in found["attachments"]])
        lines = reasons(found["attachments"])
        for line in [*lines, *(figures(found["attachments"]) if more else ())]:
            click.echo(line)
