"""What every command shares: verbosity, JSON, tables, and one line for every error.

Global options may stand before the command or behind it; people write both.
"""

import functools
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from gadgetip.service.journal import journal_handler

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(slots=True)
class Output:
    """How this call talks to its user."""

    verbosity: int = 0
    quiet: bool = False
    debug: bool = False
    json: bool = False
    config: Path | None = None
    """The configuration that was named; None: the usual one."""

    def say(self, text: str) -> None:
        """A line of ordinary output; not with --quiet, nor beside JSON."""
        if not self.quiet and not self.json:
            click.echo(safe(text))

    def warn(self, text: str) -> None:
        """A line that a person should see even when the output goes to a file."""
        click.echo(safe(f"note: {text}"), err=True)

    def detail(self, text: str) -> None:
        """A line for whoever asked for more with --verbose."""
        if self.verbosity:
            self.say(text)

    def result(self, value: object) -> None:
        """One JSON document on standard output."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=True))

    def event(self, name: str, **fields: object) -> None:
        """With --json, one line for each event of a command that goes on."""
        if self.json:
            click.echo(json.dumps({"event": name, **fields}, ensure_ascii=True))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they need to be."""
        lines = [[safe(cell) for cell in line] for line in (header, *rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())


def safe(text: str) -> str:
    """Text that may hold a device's or a server's own words, fit for one line of a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def common_options(command: Callable[_P, _R]) -> Callable[..., _R]:
    """Add -v, -q, --debug, --json, --config and --on to a command; pass it the merged `Output`."""

    @click.option("-v", "--verbose", count=True, help="Say more; twice for the kernel's side too.")
    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and notes.")
    @click.option("--debug", is_flag=True, help="Log everything; show tracebacks.")
    @click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")
    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration; /etc/gadgetip/gadgetip.toml by default.",
    )
    @click.option(
        "--on",
        metavar="USER@BOARD",
        expose_value=False,  # `main` takes it out before anything is parsed
        help="Run the same command on another machine, over ssh.",
    )
    @click.pass_context
    @functools.wraps(command)
    def wrapped(
        context: click.Context,
        /,
        *args: Any,
        verbose: int,
        quiet: bool,
        debug: bool,
        as_json: bool,
        config: Path | None,
        **kwargs: Any,
    ) -> _R:
        output = context.ensure_object(Output)
        output.verbosity += verbose
        output.quiet |= quiet
        output.debug |= debug
        output.json |= as_json
        output.config = config or output.config
        configure_logging(output)
        return context.invoke(command, *args, output=output, **kwargs)

    return wrapped


def configure_logging(output: Output) -> None:
    """Log to standard error, or the journal behind it, as much as was asked for."""
    level = logging.WARNING
    if output.verbosity:
        level = logging.INFO
    if output.debug or output.verbosity > 1:
        level = logging.DEBUG
    if output.quiet and not output.debug:
        level = logging.ERROR
    journal = journal_handler(sys.stderr)
    if journal is not None:
        logging.basicConfig(level=level, handlers=[journal], force=True)
        return
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )
