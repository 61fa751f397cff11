"""The `gadgetip` command: its groups, its options, and where every error ends.

An error that a user can cause is one line and an exit status that scripts can tell apart; a
traceback is shown with --debug only.
"""

import sys
import traceback

import click

from gadgetip import __version__
from gadgetip.cli.command_table import CommandTable
from gadgetip.cli.on_board import run_on, take_destination
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus, GadgetipError

EPILOG = """\b
Examples:
  gadgetip list                              what is plugged in here?
  gadgetip bind 0781:5581                    mark it for export
  gadgetip serve --listen 192.168.1.5        export what is marked, until Ctrl-C

\b
  gadgetip list nas.lan                      what does the server export?
  gadgetip inspect nas.lan 0781:5581         what is that device, in detail?
  gadgetip plan nas.lan 0781:5581            what would it be like on this board?
  gadgetip attach nas.lan 0781:5581          rebuild it on this board's USB port
  gadgetip attach nas.lan 1-1.4 --to vhci    or give it to this machine itself

\b
  gadgetip run                               keep what /etc/gadgetip/gadgetip.toml lists attached
  gadgetip status --watch                    how are they?
  gadgetip doctor                            has this machine all that it takes?
  gadgetip --on root@dongle.lan doctor       has that one?

\b
Exit status: 0 done, or stopped by the user; 1 error; 2 usage; 3 device unplugged at the
server; 4 link lost; 5 the plan refuses; 6 a prerequisite is missing; 7 (plan) works, degraded.
"""


COMMANDS = {
    "attach": "gadgetip.cli.attach:attach",
    "bench": "gadgetip.cli.bench:bench",
    "bind": "gadgetip.cli.bind:bind",
    "board": "gadgetip.cli.board:board",
    "check": "gadgetip.cli.check:check",
    "completion": "gadgetip.cli.completion:completion",
    "detach": "gadgetip.cli.detach:detach",
    "doctor": "gadgetip.cli.doctor:doctor",
    "inspect": "gadgetip.cli.inspect:inspect",
    "list": "gadgetip.cli.listing:list_command",
    "log": "gadgetip.cli.log:log_command",
    "plan": "gadgetip.cli.plan:plan",
    "ports": "gadgetip.cli.ports:ports",
    "profile": "gadgetip.cli.profile:profile",
    "reload": "gadgetip.cli.supervised:reload",
    "report": "gadgetip.cli.report:report",
    "restart": "gadgetip.cli.supervised:restart",
    "run": "gadgetip.cli.run:run",
    "serve": "gadgetip.cli.serve:serve",
    "start": "gadgetip.cli.supervised:start",
    "status": "gadgetip.cli.status:status",
    "stop": "gadgetip.cli.supervised:stop",
    "udc": "gadgetip.cli.udc:udc",
    "unbind": "gadgetip.cli.bind:unbind",
}
"""Every command, by name: where it lives."""

HELP = ("-h", "--help")
STOCK_SPELLINGS = {"port": "ports"}
"""What the stock tool calls a command; left out of the help."""


def _say_version(context: click.Context, *, asked: bool) -> None:
    """Print the version and end."""
    if not asked or context.resilient_parsing:
        return
    from gadgetip.pump.native_module import pump_in  # noqa: PLC0415 (as commands are)

    click.echo(safe(f"gadgetip {__version__} ({pump_in()})"))
    context.exit()


@click.group(
    cls=CommandTable,
    places=COMMANDS,
    spellings=STOCK_SPELLINGS,
    epilog=EPILOG,
    context_settings={"help_option_names": list(HELP), "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, asked: _say_version(context, asked=asked),
    help="Say which version this is, and which pump is in.",
)
@common_options
def cli(output: Output) -> None:
    """Make a USB device that is plugged into another machine a real USB device here.

    The other machine exports it over USB/IP. This one rebuilds it on its USB device controller,
    so that the host at the end of the cable sees the device itself and needs no software.
    """


def main() -> None:
    """Run the command line; every way out of it is an exit status."""
    debug = "--debug" in sys.argv
    try:
        destination, arguments = take_destination(sys.argv[1:])
        if destination is None or set(HELP).intersection(arguments):
            result = cli.main(arguments, prog_name="gadgetip", standalone_mode=False)
        else:
            result = run_on(destination, arguments)
    except click.exceptions.Abort:
        sys.exit(ExitStatus.DONE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GadgetipError as error:
        if debug:
            traceback.print_exc()
        click.echo(safe(f"gadgetip: {error}"), err=True)
        if "--json" in sys.argv:
            Output(json=True).event("error", message=str(error), exit_status=error.exit_status)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.DONE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitStatus.ERROR)
    except Exception as error:
        if debug:
            raise
        click.echo(
            safe(f"gadgetip: this is a bug: {type(error).__name__}: {error} (--debug shows more)"),
            err=True,
        )
        sys.exit(ExitStatus.ERROR)
    sys.exit(result if isinstance(result, int) else ExitStatus.DONE)
