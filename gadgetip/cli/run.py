"""`gadgetip run`: the supervisor."""

import asyncio
import contextlib
import sys

import click

from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import PrerequisiteError
from gadgetip.service.journal import INFO, NAME_FIELD, Journal
from gadgetip.supervisor.config import CONFIG_FILE
from gadgetip.supervisor.daemon import Daemon

EPILOG = """\b
Keeps the attachments of the configuration, for as long as it runs: whatever is lost is looked
for and attached again. `gadgetip status`, `log`, `start`, `stop`, `restart` and `reload` talk
to it. SIGHUP reads the configuration again. SIGTERM and Ctrl-C unplug the replicas and end it.

\b
Examples:
  gadgetip check /etc/gadgetip/gadgetip.toml && sudo systemctl start gadgetip
  sudo gadgetip run --config ./lab.toml
"""


@click.command(epilog=EPILOG)
@common_options
def run(output: Output) -> None:
    """Keep everything attached that the configuration lists, until Ctrl-C or SIGTERM."""
    file = output.config or CONFIG_FILE
    if output.config is None and not file.exists():
        raise PrerequisiteError(
            f"there is no {file}: docs/configuration.md has one to begin with, or name another "
            "with --config"
        )

    lines = Lines(output, Journal.behind(sys.stderr))

    async def supervise() -> None:
        await Daemon(file.absolute(), lines).run()

    asyncio.run(supervise())
    output.event("stopped")


class Lines:
    """Each line goes to the journal with the attachment's name as a field, or to standard error."""

    def __init__(self, output: Output, journal: Journal | None) -> None:
        self._output = output
        self._journal = journal

    def __call__(self, name: str, text: str) -> None:
        """Log a line; `name` is "" for what is the supervisor's own."""
        line = safe(f"{name}: {text}" if name else text)
        fields = {NAME_FIELD: name} if name else {}
        # Whoever read our output may have gone; that is no reason to stop.
        with contextlib.suppress(OSError):
            if self._journal is None or not self._journal.send(line, INFO, **fields):
                click.echo(line, err=True)
            self._output.event("log", attachment=name or None, text=text)
