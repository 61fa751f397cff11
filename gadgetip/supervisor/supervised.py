"""One attachment of the configuration, what is being done about it, and who does it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gadgetip.attachment.backoff import Backoff
from gadgetip.profiles import Profile
from gadgetip.supervisor.config import ConfiguredAttachment, Settings
from gadgetip.supervisor.log_ring import LogRing
from gadgetip.supervisor.messages import Message
from gadgetip.supervisor.profile_choice import named_profile
from gadgetip.supervisor.record import Record


class Process(Protocol):
    """A process that keeps one attachment; `AttachmentProcess` is one."""

    pid: int
    stopping: bool
    ended: asyncio.Event

    def wake(self) -> None:
        """Something happened that makes asking again worth while."""

    def stop(self) -> None:
        """End in order, within a bound."""


class Launch(Protocol):
    """Starts a process for an attachment on a controller (None: vhci)."""

    def __call__(
        self,
        configured: ConfiguredAttachment,
        udc: str | None,
        settings: Settings,
        *,
        on_message: Callable[[Message], None],
        on_line: Callable[[str], None],
        on_end: Callable[[str], None],
    ) -> Process:
        """Fork; raises `OSError`."""


@dataclass(slots=True)
class Supervised:
    """One attachment of the configuration, and what is being done about it."""

    record: Record
    backoff: Backoff
    log: LogRing = field(default_factory=LogRing)
    process: Process | None = None
    last_news: Message | None = None
    """What its process said last, which tells how it meant to end."""
    retry: asyncio.TimerHandle | None = None
    parked: bool = False
    profile: Profile | None = None
    """The one that the configuration names, as it was when somebody wanted this to be tried."""
    launched: ConfiguredAttachment | None = None
    """As what it was started last; the configuration may say something else by now."""
    disorder: str = ""
    """How its process ended, which was told to and did not end in order."""

    def __post_init__(self) -> None:
        self.profile = named_profile(self.configured)

    @property
    def configured(self) -> ConfiguredAttachment:
        """What the configuration says of it."""
        return self.record.configured

    @property
    def name(self) -> str:
        """What people call it."""
        return self.record.configured.name

    def forgive(self) -> None:
        """Somebody wants it to be tried: what kept it from that does not count any more."""
        self.profile = named_profile(self.configured)
        self.record.forgive()
        self.backoff.reset()
        self.parked = False
        self.disorder = ""
        self.cancel_retry()

    def cancel_retry(self) -> None:
        """Wait no longer."""
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None

    def as_json(self) -> dict[str, object]:
        """What `status --json` shows of it."""
        pid = None if self.process is None else self.process.pid
        worker = None if pid is None else _worker_of(pid)
        return {**self.record.as_json(), "pid": pid, "worker_pid": worker}


def _worker_of(pid: int) -> int | None:
    """The forked child of an attachment process, where it has one just now.

    It may also have one that unmounts something, or loads a module: that has another command line.
    """
    try:
        own = _command_line(str(pid))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return next((int(child) for child in children if _command_line(child) == own), None)
    except OSError:
        return None


def _command_line(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def backoff_of(settings: Settings) -> Backoff:
    """The pauses between attempts to start a process."""
    return Backoff(settings.retry_min_s, settings.retry_max_s)
