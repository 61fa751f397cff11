"""`gadgetip board setup`: an existing system becomes a board, and what it was before again."""

import os

import click

from gadgetip.appliance.setup_here import planned, planned_undo, set_up, undo
from gadgetip.appliance.setup_plan import FileChange, Undoing, unified_diff
from gadgetip.cli.output import Output, common_options, safe
from gadgetip.errors import ExitStatus, PrerequisiteError

EPILOG = """\b
On Raspberry Pi OS the USB port is made a device's (config.txt): a hub, a keyboard or a network
adapter in that port works no more. A Raspberry Pi whose only port is behind a hub (B, B+, 2, 3,
3B+) is refused, since all its ports and its Ethernet would be gone. Anywhere: modules to load at
boot, a configuration to begin with, and Wi-Fi that does not save power where NetworkManager runs.
The changes are shown before they are made. A file that is there already stays as it is, but for
config.txt, to which lines are added; so it may be run again.

\b
Exit status: 0 done, or nothing to do; 1 it could not be done, or was not wanted; 6 not root, an
image, or a machine that cannot be a board.

\b
Examples:
  gadgetip board setup --dry-run
  sudo gadgetip board setup
  sudo gadgetip board setup --undo
"""


@click.command(epilog=EPILOG)
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--undo", "take_back", is_flag=True, help="Take back what was changed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before changing.")
@common_options
def setup(output: Output, dry_run: bool, take_back: bool, yes: bool) -> int:
    """Set this system up as a board: USB port, modules, configuration."""
    if take_back:
        return _take_back(output, dry_run=dry_run, yes=yes)
    changes = planned()
    for change in changes:
        _show(output, change.reason, change.diff())
    done = bool(changes) and not dry_run and _may(output, yes=yes)
    if done:
        set_up(changes)
    if output.json:
        output.result(
            {
                "changes": [
                    {"path": each.path, "reason": each.reason, "diff": each.diff()}
                    for each in changes
                ],
                "done": done,
            }
        )
    elif done:
        output.say(_next_step(changes))
    elif not changes:
        output.say("nothing to do: this system is set up")
    return ExitStatus.DONE if done or dry_run or not changes else ExitStatus.ERROR


def _take_back(output: Output, *, dry_run: bool, yes: bool) -> int:
    undoings = planned_undo()
    changing = [each for each in undoings if each.now != each.after]
    for each in undoings:
        if each.left:
            output.warn(f"{each.path}: {each.left}")
        else:
            _show(output, "as it was before", unified_diff(each.path, each.now, each.after))
    done = not dry_run and (not changing or _may(output, yes=yes))
    if done:
        undo(undoings)
    if output.json:
        output.result({"undone": [_as_json(each) for each in undoings], "done": done})
    elif done:
        output.say("taken back; start the board again if config.txt is among it")
    return ExitStatus.DONE if done or dry_run else ExitStatus.ERROR


def _show(output: Output, reason: str, diff: str) -> None:
    if output.json:
        return
    click.echo(safe(f"{reason}:"))
    for line in diff.splitlines():
        click.echo(f"  {safe(line)}".rstrip())


def _may(output: Output, *, yes: bool) -> bool:
    """Whether the changes are wanted; raises `PrerequisiteError` without root."""
    if os.geteuid() != 0:
        raise PrerequisiteError("changing the system needs root: try again with sudo")
    if yes or output.json:
        return yes
    return click.confirm("Make these changes?", default=False)


def _next_step(changes: tuple[FileChange, ...]) -> str:
    if any(change.restart for change in changes):
        return "done; now start the board again: sudo systemctl reboot"
    return (
        "done; `gadgetip doctor board` says whether anything is missing. Write what to attach into "
        "/etc/gadgetip/gadgetip.toml, then: sudo systemctl restart gadgetip"
    )


def _as_json(undoing: Undoing) -> dict[str, object]:
    return {"path": undoing.path, "left": undoing.left or None}
