"""`gadgetip board`: a board as an appliance."""

import click

from gadgetip.cli.command_table import CommandTable

EPILOG = """\b
docs/board.md leads from a box with a board to a device that the host sees.

\b
Examples:
  gadgetip board setup --dry-run
  sudo gadgetip board selftest
  gadgetip --on root@dongle board update gadgetip-pi-zero-2w.img.xz
"""

COMMANDS = {
    "provision": "gadgetip.cli.board_provision:provision",
    "rollback": "gadgetip.cli.board_update:rollback",
    "selftest": "gadgetip.cli.board_selftest:selftest",
    "setup": "gadgetip.cli.board_setup:setup",
    "slots": "gadgetip.cli.board_update:slots",
    "update": "gadgetip.cli.board_update:update",
    "watch": "gadgetip.cli.board_watch:watch",
}
"""Every command of the group, by name: where it lives."""


@click.group(cls=CommandTable, places=COMMANDS, epilog=EPILOG)
def board() -> None:
    """Set a system up as a board, try it on real hardware, update an image."""
