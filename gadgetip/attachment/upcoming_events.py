"""What the host has done and the device has not been brought to yet.

The host does not wait: while the device is being configured, over a slow link, it may have reset
the replica and configured it once more. FunctionFS answers it by itself, so the endpoints are then
those of a later configuration. A pump that is started on them for the earlier one takes what the
host sends, and throws it away when it hears of the reset: a command that is lost, for which a host
waits half a minute. So who is about to start the pump asks here first.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gadgetip.gadget import HostEvent


@dataclass(slots=True, eq=False)
class QueuedEvent:
    """One thing that the host did, to the endpoint 0 of one configuration."""

    event: HostEvent
    configuration: int


class UpcomingEvents:
    """Filled by the threads of endpoint 0, emptied by the loop, in the same order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[QueuedEvent] = deque()

    def add(self, event: QueuedEvent, queue: Callable[[QueuedEvent], object]) -> None:
        """Note it and call `queue` with it."""
        with self._lock:  # several endpoints 0 must not overtake each other between the two
            self._events.append(event)
            queue(event)

    def begin(self, event: QueuedEvent) -> None:
        """It is being carried out; again, perhaps, or one that was never added."""
        with self._lock:
            if self._events and self._events[0] is event:
                self._events.popleft()

    def have_ended(self, configuration: int) -> bool:
        """Whether the host has ended this configuration, or begun it anew.

        A DISABLE of another one may come late, and then says nothing about this one.
        """
        with self._lock:
            return any(
                each.event in {HostEvent.ENABLE, HostEvent.DISCONNECT}
                or (each.event is HostEvent.DISABLE and each.configuration == configuration)
                for each in self._events
            )
