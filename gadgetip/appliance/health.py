"""Whether a board is well enough to be left alone: the hardware watchdog is fed while it is.

A server that is away, a device that was unplugged, a host that sleeps: none of these makes a board
ill, and restarting it would help with none. It is ill when the supervisor has answered before and
does not any more, for longer than systemd needs to start it anew, or never did within the time that
the slowest board needs to boot. A board whose configuration was refused runs no supervisor: its
owner has to act, and a restart would only hide the lamp.
"""

from dataclasses import dataclass, replace

START_LIMIT_S = 300.0
"""From the first look on: a Pi Zero boots in about a minute, a file system check takes another."""
SILENCE_LIMIT_S = 120.0
"""systemd gives up on a stuck supervisor after 30 s; its end takes 45 s at most."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of the supervisor; times are monotonic, in seconds."""

    since: float
    answered: float | None = None
    problem: bool = False

    def looked(self, now: float, *, answers: bool, problem: bool) -> "Health":
        """After one more look."""
        answered = now if answers else self.answered
        return replace(self, answered=answered, problem=problem)

    def silent(self, now: float) -> bool:
        """Whether an answer is overdue."""
        if self.problem:
            return False
        if self.answered is None:
            return now - self.since > START_LIMIT_S
        return now - self.answered > SILENCE_LIMIT_S

    def well(self, now: float) -> bool:
        """Whether to feed the watchdog."""
        return not self.silent(now)
