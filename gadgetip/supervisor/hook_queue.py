"""Which changes of state still have to be told to the hooks of an attachment.

Hooks are slow and states may change quickly. The queue is bounded; when it is full the oldest is
dropped, for the newest says how things are.
"""

from collections import deque
from dataclasses import dataclass

LONGEST = 16


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state, as hooks are told it."""

    name: str
    state: str
    reason: str


class HookQueue:
    """The changes of one attachment."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()
        self._dropped = 0

    def put(self, change: Change) -> None:
        """Note a change."""
        if len(self._changes) >= LONGEST:
            self._changes.popleft()
            self._dropped += 1
        self._changes.append(change)

    def take(self) -> Change | None:
        """The oldest change that is left; None when there is none."""
        return self._changes.popleft() if self._changes else None

    def take_dropped(self) -> int:
        """How many were dropped since this was asked for."""
        dropped, self._dropped = self._dropped, 0
        return dropped
