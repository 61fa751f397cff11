"""`gadgetip bench`: how fast it is here, and what bounds it."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import click

from gadgetip.attachment import list_running
from gadgetip.bench.choosing import choose_running, described
from gadgetip.bench.disk import DiskSpeed, opened, require_disk, time_disk
from gadgetip.bench.reports import opened_input, time_reports
from gadgetip.bench.sample import Sample
from gadgetip.bench.watching import watch
from gadgetip.cli.bench_text import (
    disk_json,
    disk_line,
    progress,
    reports_json,
    reports_lines,
    watched_json,
    watched_lines,
)
from gadgetip.cli.completing import attachment_names
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import GadgetipError, UsageError

EPILOG = """\b
On the board, NAME is an attachment that runs: its name in the configuration, its controller or
its bus id. Use the device at the host meanwhile (copy a large file); what moved is watched.
On a Linux host, or one that has the device through vhci, --disk and --hid measure what the
host gets. docs/bench-your-own.md explains each figure.

\b
--write destroys what is on the disk, from its beginning and at random places, and restores
nothing. It is refused while the disk is mounted or otherwise in use.

\b
Examples:
  sudo gadgetip bench
  sudo gadgetip bench stick --seconds 30 --json
  gadgetip --on root@dongle.lan bench stick
  sudo gadgetip bench --disk /dev/sdb
  sudo gadgetip bench --disk /dev/sdb --write --yes
  sudo gadgetip bench --hid /dev/hidraw2
"""


class _Duration(click.FloatRange):
    """Seconds. The range alone lets NaN through, which is neither below nor above anything."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return seconds


def _names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers: what runs, by name or controller, and what is configured."""
    running = [each.supervised or each.udc or each.busid for each in list_running()]
    offered = [each for each in running if each and each.startswith(incomplete)]
    return list(dict.fromkeys([*offered, *attachment_names(context, parameter, incomplete)]))


@click.command(epilog=EPILOG)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_names)
@click.option(
    "--seconds",
    type=_Duration(1, 3600),
    default=10.0,
    show_default=True,
    metavar="S",
    help="How long; with --disk --write, as long again.",
)
@click.option(
    "--disk", type=click.Path(path_type=Path), metavar="/dev/sdX", help="Time reads of this disk."
)
@click.option("--write", is_flag=True, help="Time writes too: what is on the disk is lost.")
@click.option("--yes", is_flag=True, help="Do not ask before writing; scripts have to say so.")
@click.option(
    "--hid",
    "--keyboard",
    "hid",
    type=click.Path(path_type=Path),
    metavar="/dev/hidrawN",
    help="Time the reports of a keyboard or mouse; /dev/input/eventN too.",
)
@common_options
def bench(
    output: Output,
    name: str | None,
    seconds: float,
    disk: Path | None,
    write: bool,
    yes: bool,
    hid: Path | None,
) -> None:
    """Measure an attachment while it is used, or a disk or keyboard at the host."""
    if sum(each is not None for each in (name, disk, hid)) > 1:
        raise click.UsageError("NAME, --disk and --hid exclude each other")
    if disk is None and (write or yes):
        raise click.UsageError("--write and --yes go with --disk")
    if disk is not None:
        _disk(output, disk, seconds, write=write, yes=yes)
    elif hid is not None:
        _hid(output, hid, seconds)
    else:
        _attachment(output, name, seconds)


def _attachment(output: Output, name: str | None, seconds: float) -> None:
    running = choose_running(list_running(), name)
    output.say(
        f"watching {described(running)} for {seconds:g} s (Ctrl-C ends it with what was seen): "
        "use the device now"
    )

    def told(at_s: float, before: Sample, after: Sample) -> None:
        output.say(progress(at_s, before, after))

    watched = watch(running, seconds, told)
    if output.json:
        output.result(watched_json(watched))
    else:
        for line in watched_lines(watched):
            click.echo(safe(line))


def _disk(output: Output, disk: Path, seconds: float, *, write: bool, yes: bool) -> None:
    require_disk(disk)
    if write and not yes and not _agreed(disk):
        output.say("nothing was written")
        return
    speeds: dict[str, DiskSpeed] = {}
    with opened(disk, write=write) as file:
        for way in ("read", "write") if write else ("read",):
            output.say(f"{disk}: {way}, {seconds:g} s (Ctrl-C ends it with what was measured)")
            speed = time_disk(file, seconds, write=way == "write")
            if speed.sequential_bytes:
                speeds[way] = speed
                if not output.json:
                    click.echo(f"  {disk_line(speed)}")
            if speed.interrupted:
                break
    if not speeds:
        raise GadgetipError(f"{disk}: ended before anything was measured")
    if output.json:
        output.result(disk_json(disk, speeds))


def _agreed(disk: Path) -> bool:
    """Ask the person; raises `UsageError` where there is none."""
    if not sys.stdin.isatty():
        raise UsageError(f"--write destroys what is on {disk}: say --yes where nobody can be asked")
    question = f"What is on {disk} will be lost, and nothing restores it. Write to it?"
    return click.confirm(question, err=True)


def _hid(output: Output, path: Path, seconds: float) -> None:
    with opened_input(path) as file:
        output.say(
            f"{path}: reports for {seconds:g} s (Ctrl-C ends it with what was seen); move the "
            "mouse, or type, all the time"
        )
        began = time.monotonic()
        reports = time_reports(file, path, seconds)
        took_s = time.monotonic() - began
    if output.json:
        output.result(reports_json(path, took_s, reports))
    else:
        for line in reports_lines(reports):
            click.echo(safe(line))
