"""`gadgetip board`: a board as an appliance."""

import click

<<<<<<< HEAD
from gadgetip.cli.board_selftest import selftest
from gadgetip.cli.board_setup import setup
from gadgetip.cli.board_update import rollback, slots, update
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus, GadgetipError, PrerequisiteError
from gadgetip.supervisor.board_config import IMAGE_FILE
=======
from gadgetip.cli.command_table import CommandTable
>>>>>>> ap7

EPILOG = """\b
docs/board.md leads from a box with a board to a device that the host sees.

\b
Examples:
  gadgetip board setup --dry-run
  sudo gadgetip board selftest
"""

COMMANDS = {
    "provision": "gadgetip.cli.board_provision:provision",
    "selftest": "gadgetip.cli.board_selftest:selftest",
    "setup": "gadgetip.cli.board_setup:setup",
    "watch": "gadgetip.cli.board_watch:watch",
}
"""Every command of the group, by name: where it lives."""


@click.group(cls=CommandTable, places=COMMANDS, epilog=EPILOG)
def board() -> None:
<<<<<<< HEAD
    """Set a system up as a board, try it on real hardware, update an image."""


board.add_command(rollback)
board.add_command(selftest)
board.add_command(setup)
board.add_command(slots)
board.add_command(update)


@board.command(hidden=True)
@common_options
def provision(output: Output) -> int:
    """Take over gadgetip.toml from the boot partition; an image does this while it boots.

    What is wrong is written beside it, as gadgetip-problem.txt, and to standard output.
    """
    # Only here: what boots needs nothing else, and the rest of `board` not this.
    from gadgetip.appliance.provisioning_here import provision_here  # noqa: PLC0415

    _need_image("provision")
    done = provision_here()
    for line in done.decided.page.splitlines():
        click.echo(safe(line))
    if done.failed:
        raise GadgetipError(f"not all could be done: {'; '.join(done.failed)}")
    if done.decided.problems:
        return ExitStatus.ERROR
    output.say("gadgetip.toml is taken over")
    return ExitStatus.DONE


@board.command(hidden=True)
@common_options
def watch(output: Output) -> None:
    """Show on the lamp how the board is, and feed the hardware watchdog while it is well."""
    from gadgetip.appliance.watching import watch as go_on  # noqa: PLC0415 (as above)

    _need_image("watch")
    ended = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    go_on(wait=ended.wait, say=output.say)


def _need_image(command: str) -> None:
    if not IMAGE_FILE.exists():
        raise PrerequisiteError(
            f"`board {command}` is for images, and this is none: {IMAGE_FILE} is not there"
        )
=======
    """Set an existing system up as a board, and try it on real hardware."""
>>>>>>> ap7
