"""Which of an image's two root file systems boots: the decisions of an update in place.

An image has two slots, A and B. An update is written into the one that does not run, which is then
tried first, a few times. A boot counts one try down before it starts the kernel; a board that has
become healthy counts up again. So a new system that does not come up, or comes up and never gets
well, runs out of tries, and the old one boots, whatever the new one does.

A system that was found well is *confirmed*, and has more tries than an update on trial: somebody
who cuts the power three times before a board is well has said nothing against it. Should even those
run out, the other system stands in for it, and it is tried again, like an update; only then the
other one takes its place for good. More could be known, that a slot was well in some year, but not
in what U-Boot's script can count; and a system that has failed twelve times is no loss.

Three variables of the boot loader's hold all of it, in a form that a short script of U-Boot's can
read (board/image/boot.cmd); `next_boot` is what that script does:

    BOOT_ORDER=B A      the slots, the preferred one first
    BOOT_A_LEFT=9       how often each may still be tried; only the system that was found well
    BOOT_B_LEFT=2       last has more than three
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

TRIES = 3
"""Of an update, and of any other system of which nothing is known."""
CONFIRMED = 9
"""Of a system since it was found well: one digit, as the boot script counts."""

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
    left = max(slots.left(running), TRIES)
    return replace(slots.having(running.other, 0).having(running, left), preferred=running)


def after_writing(slots: Slots, running: Slot) -> Slots:
    """Once the other slot is written and verified: it is tried first."""
    return replace(slots.having(running.other, TRIES), preferred=running.other)


def when_healthy(slots: Slots, running: Slot) -> Slots:
    """Once the board is well: the running slot is confirmed, and the one to boot, as a rule.

    One that runs because the preferred one did not come up takes its place, if that was an update
    on trial: the running one was confirmed until then, which its tries tell. Where the preferred
    one was, it is tried again.
    """
    other = running.other
    well = slots.having(running, CONFIRMED)
    if slots.preferred is running:
        return well.having(other, min(slots.left(other), TRIES))
    if slots.left(running) > TRIES:
        return replace(well, preferred=running)
    return well.having(other, TRIES)


def is_confirmed(slots: Slots, running: Slot) -> bool:
    """Whether the running system has been well since it was started.

    The boot loader takes one of its tries, and who finds it well gives them all back. It takes none
    of a system that it starts because it could not load the preferred one.
    """
    gave_way = slots.preferred is not running and slots.left(running.other) < TRIES
    return slots.left(running) >= CONFIRMED and not gave_way


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
