"""One device that is exported: is it ours, is it in use, and by whom."""

import time
from dataclasses import dataclass, field

from gadgetip.server.exports import Export
from gadgetip.server.listeners import Peer
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import Session


@dataclass(eq=False, slots=True)
class Exported:
    """An export and what has become of it."""

    export: Export
    taken: bool = False
    fault: str = ""
    """Why it could not be taken, "" if it could."""
    failures: int = 0
    next_attempt: float = 0.0
    """When it is tried again without a reason of its own, in the loop's seconds."""
    session: Session | None = None
    client: Peer | None = None
    """Whose import is beginning or runs; None for a session that was found running."""
    since: float | None = field(default=None)
    """When the session began, seconds since the epoch."""

    @property
    def device(self) -> LocalDevice:
        """The device as it was last seen."""
        return self.export.device

    @property
    def in_use(self) -> bool:
        """Whether a client has it, or is about to."""
        return self.session is not None or self.client is not None

    def reserve(self, client: Peer) -> None:
        """From now on it is in use."""
        self.client = client
        self.since = time.time()

    def free(self) -> None:
        """The session is over, or has not come about."""
        self.session = self.client = self.since = None

    def state(self) -> dict[str, object]:
        """For the control socket."""
        return {
            "busid": self.device.busid,
            "published_as": self.export.published_as,
            "name": self.export.name,
            "by": self.export.by,
            "id": self.device.id,
            "taken": self.taken,
            "in_use": self.in_use,
            "client": str(self.client) if self.client else None,
            "since": self.since,
            "fault": self.fault or None,
        }
