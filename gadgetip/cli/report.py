"""`gadgetip report`: what a bug report needs, in one text, without what is private."""

import datetime as dt
import os
from pathlib import Path

import click

from gadgetip.cli.output import Output, common_options
from gadgetip.diagnosis.report import make_report, write_report

EPILOG = """\b
What is in it: versions, what `gadgetip doctor` finds, device controllers, USB devices, gadgets,
vhci ports, what runs, the files in /etc/gadgetip, the last lines of gadgetip's journal, and
the lines of the kernel log that concern USB.

\b
What is taken out: serial numbers (each by a token that stays the same), passphrases and keys;
with --redact-addresses also addresses, the names of this machine, its users and its servers.
Names of Wi-Fi networks stay. Read it before you send it.

\b
Examples:
  sudo gadgetip report
  sudo gadgetip report -o bug.tar.gz --redact-addresses
  gadgetip --on root@dongle.lan report -o - >bug.txt
"""


@click.command(epilog=EPILOG)
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Where to: a new file, a text or a .tar.gz, or - for standard output.  "
    "[default: gadgetip-report-HOST-DATE.txt]",
)
@click.option("--redact-addresses", is_flag=True, help="Take out addresses and names, too.")
@common_options
def report(output: Output, file: Path | None, redact_addresses: bool) -> None:
    """Collect what a bug report needs; serial numbers are taken out."""
    made = make_report(addresses=redact_addresses)
    if file == Path("-"):
        click.echo(made.text(), nl=False)
    else:
        file = file or _default_file(redact_addresses)
        write_report(file, made)
        if output.json:
            output.result({"file": str(file), "replaced": made.replaced})
            return
        output.say(f"{file}: {len(made.parts)} sections")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(made.replaced.items()))
    output.warn(f"replaced: {counts or 'nothing'}. Read it before you send it")
    if os.geteuid() != 0:
        output.warn("without root, parts are missing: sudo gadgetip report has them all")


def _default_file(without_name: bool) -> Path:
    host = "" if without_name else f"-{os.uname().nodename}"
    return Path(f"gadgetip-report{host}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}.txt")
