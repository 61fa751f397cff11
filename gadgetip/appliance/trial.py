"""Each boot of an image is a trial until the board is well: who says so to the boot loader.

Without a hardware watchdog nobody else would end a trial that fails; with one, it does.
"""

import subprocess
from collections.abc import Callable

from gadgetip.appliance.card_here import Card, card_here
from gadgetip.appliance.slots import when_healthy
from gadgetip.appliance.update_plan import is_confirmed
from gadgetip.errors import PrerequisiteError

ATTEMPTS = 3
PATIENCE_S = 90.0
"""systemd gives a service so long to stop."""

Say = Callable[[str], None]


class Trial:
    """This boot's."""

    def __init__(
        self,
        say: Say,
        find: Callable[[], Card] = card_here,
        run: Callable[[list[str]], object] = subprocess.call,
    ) -> None:
        """Find the card; where there is none, or it cannot be read, there is no trial."""
        self._say = say
        self._run = run
        self._card: Card | None = None
        self._attempts = ATTEMPTS
        self._restarts = 0
        self._restarted: float | None = None
        try:
            card = find()
            if not is_confirmed(card.boot_state(), card.running):
                self._card = card
        except (OSError, PrerequisiteError) as error:
            say(f"which system boots next is left as it is: {error}")

    @property
    def open(self) -> bool:
        """Whether this system has yet to be found well."""
        return self._card is not None

    def pass_it(self) -> None:
        """This system is well: it is the one to boot from now on."""
        if self._card is None:
            return
        running = self._card.running
        try:
            self._card.change_boot_state(lambda slots: when_healthy(slots, running))
            self._say(f"the system in slot {running} is well, and boots from now on")
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
        self._run(["systemctl", "reboot", *["--force"] * self._restarts])
        self._restarts, self._restarted = min(2, self._restarts + 1), now
