"""`gadgetip board update`, `slots` and `rollback`: which system a board's card boots."""

import contextlib
import errno
import os
import select
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from gadgetip.appliance.card_here import Card, card_here
from gadgetip.appliance.image_manifest import About, NotAnImageError, parse_about
from gadgetip.appliance.restarting import restart_soon
from gadgetip.appliance.slots import Slot, is_confirmed, next_boot
from gadgetip.appliance.unpacking import Unpacker
from gadgetip.appliance.update_plan import check_trial, check_update
from gadgetip.appliance.updating import prefer_other, read_manifest, write_update
from gadgetip.cli.output import Output, common_options
from gadgetip.errors import GadgetipError, PrerequisiteError, UsageError
from gadgetip.supervisor.board_config import IMAGE_FILE

UPDATE_EPILOG = """\b
IMAGE is what a card is flashed with: gadgetip-BOARD.img.xz, or unpacked, or - for standard input. A
card has two slots, and the system of IMAGE is written into the one that does not run, read back,
and compared. What runs goes on meanwhile, and the configuration is not touched. When the board is
started the next time, the new system is tried; should it not get well in three starts, the one
before is back.

\b
A power cut at any moment leaves the old system or the new one, and never half of one.

\b
With --on, IMAGE is a file of this machine, and goes over ssh.

\b
Exit status: 0 done; 1 it could not be done, and what runs boots again; 6 no image, or not root.

\b
Examples:
  gadgetip --on root@dongle.local board update gadgetip-pi-zero-2w.img.xz --reboot
  gadgetip board update --dry-run /media/stick/gadgetip-pi-zero-2w.img.xz
  curl -s https://example.org/gadgetip-pi-zero-2w.img.xz | gadgetip board update -
"""

SLOTS_EPILOG = """\b
A start takes one try from a slot, and a board that is well gets them back after 20 seconds.

\b
Examples:
  gadgetip board slots
  gadgetip --on root@dongle.local board slots --json
"""

ROLLBACK_EPILOG = """\b
The other system is read and compared first, which takes some seconds.

\b
Example:
  gadgetip --on root@dongle.local board rollback --reboot
"""

STDIN_LIMIT_S = 120
"""A network that is gone is not always told of; and while an update goes on, there is no other."""

reboot_option = click.option(
    "--reboot/--no-reboot", default=False, help="Start the board again when it is done."
)


@click.command(epilog=UPDATE_EPILOG)
@click.argument("image", metavar="IMAGE")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@reboot_option
@click.option(
    "--force", is_flag=True, help="Even though what runs has not been well since it was started."
)
@common_options
def update(output: Output, image: str, dry_run: bool, reboot: bool, force: bool) -> None:
    """Write a new system beside the one that runs."""
    running, card = _board_here()
    other = card.running.other
    with _source(image) as read, _card_errors(other):
        try:
            unpacker = Unpacker(read)
            manifest = read_manifest(unpacker)
            with card.open(card.slots[other]) as partition:
                line = check_update(running, manifest, partition.size)
            output.say(line)
            if not force:
                check_trial(card.boot_state(), card.running, card.content(other))
            if dry_run:
                output.say(f"it would be written into slot {other}; nothing was changed")
                output.event("checked", slot=other, **_about(manifest.about))
                return
            write_update(card, unpacker, manifest, _Progress(output, other))
        except NotAnImageError as error:
            name = "standard input" if image == "-" else image
            raise NotAnImageError(f"{name} cannot be written: {error}") from error
    output.event("written", slot=other, reboot=reboot, **_about(manifest.about))
    _finish(output, f"{manifest.about.version} is in slot {other}", reboot=reboot)


@click.command(epilog=SLOTS_EPILOG)
@common_options
def slots(output: Output) -> None:
    """Show which system runs, which one boots next, and what is in the other slot."""
    _, card = _board_here()
    with _card_errors(card.running.other):
        state = card.boot_state()
        contents = {slot: card.content(slot) for slot in Slot}
    confirmed = is_confirmed(state, card.running)
    following, _ = next_boot(state)
    if output.json:
        output.result(
            {
                "running": card.running,
                "confirmed": confirmed,
                "next": following,
                "slots": {
                    slot: {
                        "tries_left": state.left(slot),
                        "content": _about(content.about) if content else None,
                    }
                    for slot, content in contents.items()
                },
            }
        )
        return
    words: dict[Slot, list[str]] = {slot: [] for slot in Slot}
    words[card.running].append("runs" if confirmed else "runs on trial")
    words[following].append("boots next")
    if contents[card.running.other] is not None and state.left(card.running.other) == 0:
        words[card.running.other].append("did not get well")
    output.table(
        ["SLOT", "SYSTEM", "TRIES LEFT", ""],
        [
            [
                slot,
                str(content.about) if content else "none",
                str(state.left(slot)),
                ", ".join(words[slot]),
            ]
            for slot, content in contents.items()
        ],
    )


@click.command(epilog=ROLLBACK_EPILOG)
@reboot_option
@common_options
def rollback(output: Output, reboot: bool) -> None:
    """Boot the system in the other slot the next time."""
    _, card = _board_here()
    other = card.running.other
    with _card_errors(other):
        content = prefer_other(card, _Progress(output, other))
    output.event("preferred", slot=other, reboot=reboot, **_about(content.about))
    _finish(output, f"{content.about.version} in slot {other} boots next", reboot=reboot)


@dataclass(slots=True)
class _Progress:
    """Says every tenth; called by what writes and reads."""

    output: Output
    slot: Slot
    _said: tuple[str, int] = ("", 0)

    def __call__(self, step: str, done: int, total: int) -> None:
        tenth = done * 10 // total
        if (step, tenth) == self._said:
            return
        self._said = (step, tenth)
        self.output.say(f"{step} slot {self.slot}: {tenth * 10} %")
        self.output.event("progress", step=step, done=done, total=total)


def _finish(output: Output, text: str, *, reboot: bool) -> None:
    back = "should it not get well in three starts, this one is back"
    if reboot:
        output.say(f"{text}; the board starts again now; {back}")
        restart_soon()
    else:
        output.say(f"{text}, and is tried when the board starts again: systemctl reboot; {back}")


def _board_here() -> tuple[About, Card]:
    """What runs, and the card; raises `PrerequisiteError`."""
    if not IMAGE_FILE.exists():
        raise PrerequisiteError(
            f"only an image has slots, and this is none ({IMAGE_FILE} is not there): a system that "
            "`board setup` made a board is updated by apt"
        )
    if os.geteuid() != 0:
        raise PrerequisiteError("the card belongs to root: try again with sudo")
    try:
        return parse_about(IMAGE_FILE.read_text()), card_here()
    except (OSError, NotAnImageError) as error:
        raise PrerequisiteError(f"this system does not know itself: {error}") from error


@contextlib.contextmanager
def _source(image: str) -> Iterator[Callable[[int], bytes]]:
    """A way to read the image, at most so many bytes at a time."""
    if image == "-":
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal, and an image was expected: `... <FILE`")
        yield _reading(sys.stdin.fileno(), "standard input", STDIN_LIMIT_S)
        return
    try:
        file = os.open(Path(image), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise GadgetipError(f"{image}: {error.strerror}") from None
    try:
        yield _reading(file, image)
    finally:
        os.close(file)


def _reading(file: int, name: str, limit_s: int | None = None) -> Callable[[int], bytes]:
    poll = select.poll()
    poll.register(file, select.POLLIN)

    def read(limit: int) -> bytes:
        if limit_s is not None and not poll.poll(limit_s * 1000):
            raise GadgetipError(
                f"{name}: nothing came for {limit_s} s, and the image is not all there: "
                "look at what sends it, and begin again"
            )
        try:
            return os.read(file, limit)
        except OSError as error:
            raise GadgetipError(f"{name}: {error.strerror}") from None

    return read


@contextlib.contextmanager
def _card_errors(slot: Slot) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise GadgetipError(f"slot {slot} is in use: is another update going on?") from error
        raise GadgetipError(f"the card cannot be read or written: {error}") from error


def _about(about: About) -> dict[str, object]:
    return {"board": about.board, "version": about.version, "built": about.built}
