"""Each boot of an image is a trial until the board is well: who says so to the boot loader.

Without a hardware watchdog nobody else would end a trial that fails; with one, it does.
"""

import subprocess
from collections.abc import Callable

from gadgetip.appliance.card_here import Card, card_here
from gadgetip.appliance.slots import CONFIRMED, Slots, is_confirmed, when_healthy
from gadgetip.errors import PrerequisiteError

ATTEMPTS = 3
PATIENCE_S = 90.0
"""systemd gives a service so long to stop."""
COMMAND_LIMIT_S = 30.0
"""A first process that answers no more must not keep the watch from its next look."""

Say = Callable[[str], None]


def run_command(command: list[str]) -> object:
    """Run it and wait, but not for ever."""
    return subprocess.call(command, timeout=COMMAND_LIMIT_S)


class Trial:
    """This boot's."""

    def __init__(
        self,
        say: Say,
        find: Callable[[], Card] = card_here,
        run: Callable[[list[str]], object] = run_command,
    ) -> None:
        """Find the card; where there is none, or it cannot be read, there is no trial."""
        self._say = say
        self._run = run
        self._card: Card | None = None
        self._attempts = ATTEMPTS
        self._restarts = 0
        self._restarted: float | None = None
        self._began = Slots()
        try:
            card = find()
            self._began = card.boot_state()
            if not is_confirmed(self._began, card.running):
                self._card = card
            self._tell_of_the_other(card)
        except (OSError, PrerequisiteError) as error:
            say(f"which system boots next is left as it is: {error}")

    def _tell_of_the_other(self, card: Card) -> None:
        """An update that did not get well must not go away in silence."""
        other = card.running.other
        content = card.content(other)
        if content is not None and self._began.left(other) == 0:
            self._say(
                f"the system in slot {other} ({content.about}) did not get well in any of its "
                f"tries: slot {card.running} runs instead"
            )

    @property
    def open(self) -> bool:
        """Whether this system has yet to be found well."""
        return self._card is not None

    def pass_it(self) -> None:
        """This system is well: it is the one to boot, unless somebody has said otherwise since."""
        if self._card is None:
            return
        running = self._card.running

        def confirm(slots: Slots) -> Slots:
            if slots == self._began:
                return when_healthy(slots, running)
            # An update or a rollback during the trial: what it prefers, it prefers.
            return slots.having(running, CONFIRMED)

        try:
            boots = self._card.change_boot_state(confirm).preferred
            self._say(f"the system in slot {running} is well; slot {boots} boots next")
            self._card = None
        except OSError as error:
            self._attempts -= 1
            self._say(f"the boot loader cannot be told that slot {running} is well: {error}")
            if self._attempts == 0:
                self._card = None

    def fail(self, now: float) -> None:
        """End it by a restart; asked again, as often as one likes, it gets rougher in time."""
        if self._card is None or (
            self._restarted is not None and now - self._restarted < PATIENCE_S
        ):
            return
        self._say(f"the system in slot {self._card.running} does not get well: restarting")
        command = ["systemctl", "reboot", *["--force"] * self._restarts]
        self._restarts, self._restarted = min(2, self._restarts + 1), now
        try:
            self._run(command)
        except (OSError, subprocess.SubprocessError) as error:
            self._say(f"it cannot be restarted: {error}")
