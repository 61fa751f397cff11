"""Whether an image may be written over a board's other slot, and what is said about it first.

An older version is written as well as a newer one: whoever names a file means it, and an update
back is how people look for the version that broke something. What cannot work is refused.
"""

import re

from gadgetip.appliance.image_manifest import About, Manifest
from gadgetip.appliance.slots import Slot, Slots, is_confirmed
from gadgetip.errors import GadgetipError

_NUMBERS = re.compile(r"\d+(?:\.\d+)*", re.ASCII)


def check_update(running: About, image: Manifest, slot_size: int) -> str:
    """One line that says what becomes what; sizes in bytes.

    Raises `GadgetipError` for another board's image, or one that is larger than a slot.
    """
    new = image.about
    if new.board != running.board:
        raise GadgetipError(
            f"this image is for {new.board}, and this board is a {running.board}: get "
            f"gadgetip-{running.board}.img.xz"
        )
    if image.size > slot_size:
        raise GadgetipError(
            f"this image's system takes {_mib(image.size)} MiB, and the card has {_mib(slot_size)} "
            "MiB for one: write the image to the card anew"
        )
    if new == running:
        return f"the same as what runs: {new}"
    older = (_ordered(new.version), new.built) < (_ordered(running.version), running.built)
    return f"{new}, {'older' if older else 'newer'} than what runs ({running})"


def check_trial(slots: Slots, running: Slot, other: Manifest | None) -> None:
    """Raise `GadgetipError` where the other slot is the only system that is known to be well."""
    if other is not None and not is_confirmed(slots, running):
        raise GadgetipError(
            "this system has not been well yet since it was started, and what would be written "
            "over is what the board goes back to: see `gadgetip status`, wait, or use --force"
        )


def _mib(size: int) -> int:
    return -(-size // (1 << 20))


def _ordered(version: str) -> tuple[int, ...]:
    match = _NUMBERS.match(version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()
