"""Whether a board is well enough to be left alone: the hardware watchdog is fed while it is.

A server that is away, a device that was unplugged, a host that sleeps: none of these makes a board
ill, and restarting it would help with none. It is ill when the supervisor has answered before and
does not any more, for longer than systemd needs to start it anew, or never did within the time that
the slowest board needs to boot. A board that has no configuration to go by, because its owner's was
refused, runs no supervisor: its owner has to act, and a restart would only hide the lamp.

A system that was just started is *settled* once it has been well for a while without a break: the
boot loader is told then that this one boots. One that never is, not even between two crashes, is
*overdue* after ten minutes: it ends by a restart, is tried a few times, and gives way to the one
before (`slots`).
"""

from dataclasses import dataclass, replace

START_LIMIT_S = 300.0
"""From the first look on: a Pi Zero boots in about a minute, a file system check takes another."""
SILENCE_LIMIT_S = 120.0
"""systemd gives up on a stuck supervisor after 30 s; its end takes 45 s at most."""
SETTLED_S = 20.0
"""A supervisor that ends as soon as it has read its configuration answers for less."""
TRIAL_LIMIT_S = 600.0
"""Twice what the slowest board needs until the first answer."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of the supervisor; times are monotonic, in seconds."""

    since: float
    answered: float | None = None
    expected: bool = True
    """Whether there should be one."""
    good_since: float | None = None
    """Since when every look has found an answer, or a reason not to expect one."""

    def looked(self, now: float, *, answers: bool, expected: bool) -> "Health":
        """After one more look."""
        answered = now if answers else self.answered
        good_since = None
        if answers or not expected:
            good_since = now if self.good_since is None else self.good_since
        return replace(self, answered=answered, expected=expected, good_since=good_since)

    def silent(self, now: float) -> bool:
        """Whether an answer is overdue."""
        if not self.expected:
            return False
        if self.answered is None:
            return now - self.since > START_LIMIT_S
        return now - self.answered > SILENCE_LIMIT_S

    def settled(self, now: float) -> bool:
        """Whether this system is one to keep."""
        return self.good_since is not None and now - self.good_since >= SETTLED_S

    def overdue(self, now: float) -> bool:
        """Whether it should have been, long ago."""
        return not self.settled(now) and now - self.since > TRIAL_LIMIT_S

    def well(self, now: float) -> bool:
        """Whether to feed the watchdog."""
        return not self.silent(now)
