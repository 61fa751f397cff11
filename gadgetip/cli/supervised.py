"""`gadgetip start`, `stop`, `restart` and `reload`: telling the supervisor what to do."""

from collections.abc import Callable
from typing import Any

import click

from gadgetip.cli.completing import attachment_names
from gadgetip.cli.output import Output, common_options
from gadgetip.cli.supervisor_client import ask_supervisor

EPILOG = """\b
NAME is that of an [[attachment]] in /etc/gadgetip/gadgetip.toml; `gadgetip status` lists them.

\b
Examples:
  gadgetip {command} stick
  gadgetip {command} stick programmer
  gadgetip {command} --all
"""


def _names(command: Callable[..., Any]) -> Callable[..., Any]:
    everything = click.option("--all", "everything", is_flag=True, help="Every attachment.")
    names = click.argument("names", metavar="NAME...", nargs=-1, shell_complete=attachment_names)
    return names(everything(command))


@click.command(epilog=EPILOG.format(command="start"))
@_names
@common_options
def start(output: Output, names: tuple[str, ...], everything: bool) -> None:
    """Start attachments, also after the next restart of this machine.

    One that is `enabled = false` is started too, and one that was parked after five crashes.
    """
    _tell(output, "start", "started", names, everything)


@click.command(epilog=EPILOG.format(command="stop"))
@_names
@common_options
def stop(output: Output, names: tuple[str, ...], everything: bool) -> None:
    """Stop attachments until `gadgetip start`, also over a restart of this machine.

    Returns when the host has seen the unplug and the device is the server's again.
    """
    _tell(output, "stop", "stopped", names, everything)


@click.command(epilog=EPILOG.format(command="restart"))
@_names
@common_options
def restart(output: Output, names: tuple[str, ...], everything: bool) -> None:
    """Detach and attach again; what was stopped is started."""
    _tell(output, "restart", "restarted", names, everything)


@click.command(
    epilog="""\b
Examples:
  gadgetip reload
  gadgetip check /etc/gadgetip/gadgetip.toml && gadgetip reload --json
"""
)
@common_options
def reload(output: Output) -> None:
    """Read the configuration again; only the attachments that changed are touched.

    If the file is broken nothing is changed. A profile that was edited takes effect when its
    attachment is restarted.
    """
    answer = ask_supervisor("reload")
    changes = {what: answer[what] for what in ("added", "removed", "changed")}
    if output.json:
        output.result(changes)
        return
    for what, names in changes.items():
        if names:
            output.say(f"{what}: {', '.join(names)}")
    if not any(changes.values()):
        output.say("no attachment changed")


def _tell(
    output: Output, command: str, done: str, names: tuple[str, ...], everything: bool
) -> None:
    if everything == bool(names):
        raise click.UsageError("say NAME..., or --all alone")
    answer = ask_supervisor(command, names=list(names))
    if output.json:
        output.result({done: answer["names"]})
    else:
        output.say(f"{done}: {', '.join(answer['names'])}" if answer["names"] else "there are none")
