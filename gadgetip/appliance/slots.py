"""Which of an image's two root file systems boots: the decisions of an update in place.

An image has two slots, A and B. An update is written into the one that does not run, which is then
tried first, a few times. A boot counts one try down before it starts the kernel; a board that has
become healthy counts up again. So a new system that does not come up, or comes up and never gets
well, runs out of tries, and the old one boots, whatever the new one does.

Three variables of the boot loader's hold all of it, in a form that a short script of U-Boot's can
read (board/image/boot.cmd); `next_boot` is what that script does:

    BOOT_ORDER=B A      the slots, the preferred one first
    BOOT_A_LEFT=3       how often each may still be tried
    BOOT_B_LEFT=2
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

TRIES = 3

ORDER = "BOOT_ORDER"


class Slot(StrEnum):
    """One of the two."""

    A = "A"
    B = "B"

    @property
    def other(self) -> "Slot":
        """The one that is not this."""
        return Slot.B if self is Slot.A else Slot.A

    @property
    def variable(self) -> str:
        """The boot loader's variable with its tries."""
        return f"BOOT_{self}_LEFT"


@dataclass(frozen=True, slots=True)
class Slots:
    """What the boot loader knows: the preferred slot, and the tries that each has left."""

    preferred: Slot = Slot.A
    left_a: int = TRIES
    left_b: int = 0

    def left(self, slot: Slot) -> int:
        """How often it may still be tried."""
        return self.left_a if slot is Slot.A else self.left_b

    def having(self, slot: Slot, left: int) -> "Slots":
        """The same with other tries of one slot."""
        return replace(self, left_a=left) if slot is Slot.A else replace(self, left_b=left)


def next_boot(slots: Slots) -> tuple[Slot, Slots]:
    """Which slot boots now, and what the boot loader has to save before it does.

    With no tries left anywhere the slots begin anew: a board that tries for ever can still be
    helped by a network that comes back, one that stops at a prompt cannot.
    """
    for slot in (slots.preferred, slots.preferred.other):
        if slots.left(slot) > 0:
            return slot, slots.having(slot, slots.left(slot) - 1)
    return slots.preferred, Slots(slots.preferred, TRIES, TRIES).having(slots.preferred, TRIES - 1)


def before_writing(slots: Slots, running: Slot) -> Slots:
    """Before the other slot is written over: only the running one may boot."""
    return replace(slots.having(running.other, 0).having(running, TRIES), preferred=running)


def after_writing(slots: Slots, running: Slot) -> Slots:
    """Once the other slot is written and verified: it is tried first."""
    return replace(slots.having(running.other, TRIES), preferred=running.other)


def when_healthy(slots: Slots, running: Slot) -> Slots:
    """Once the board is well: the running slot is the one to boot, with all its tries.

    One that runs because the preferred one did not come up becomes the preferred one.
    """
    return replace(slots.having(running, TRIES), preferred=running)


def format_slots(slots: Slots) -> dict[str, str]:
    """The boot loader's variables."""
    return {
        ORDER: f"{slots.preferred} {slots.preferred.other}",
        Slot.A.variable: str(slots.left_a),
        Slot.B.variable: str(slots.left_b),
    }


def parse_slots(variables: Mapping[str, str]) -> Slots | None:
    """What the variables say; None where they make no sense, as in a new image."""
    orders = {f"{slot} {slot.other}": slot for slot in Slot}
    preferred = orders.get(variables.get(ORDER, ""))
    tries = [variables.get(slot.variable, "") for slot in Slot]
    if preferred is None or not all(re.fullmatch(r"[0-9]", each, re.ASCII) for each in tries):
        return None
    return Slots(preferred, int(tries[0]), int(tries[1]))
