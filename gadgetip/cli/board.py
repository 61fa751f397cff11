"""`gadgetip board`: a board as an appliance."""

import click

from gadgetip.cli.command_table import CommandTable

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
    """Set an existing system up as a board, and try it on real hardware."""
