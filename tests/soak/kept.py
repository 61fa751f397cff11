"""What the soak must know of whoever keeps the attachments: one interface.

`supervised` is `gadgetip run`; `kept_alone` is one `gadgetip attach --keep` for each, which shows
whether loads and disturbances are sound without a supervisor.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tests.soak.reports import Report

RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Shown:
    """One attachment as it is shown: its state, the processes that live for it, and why."""

    name: str
    state: str
    since: float = 0.0
    reason: str = ""
    pid: int | None = None
    worker_pid: int | None = None


class Kept(ABC):
    """Attachments that are kept between `start` and `stop`."""

    @abstractmethod
    def start(self) -> None:
        """Start whoever keeps them."""

    @abstractmethod
    def stop(self) -> None:
        """End everything politely; AssertionError where it does not end well."""

    @abstractmethod
    def shown(self) -> dict[str, Shown]:
        """Every attachment by its name; empty while nobody answers."""

    @abstractmethod
    def reports(self, name: str) -> list[Report]:
        """Losses that were reported of an attachment so far."""

    @abstractmethod
    def supervisors(self) -> list[int]:
        """Process ids of whoever keeps the attachments' processes."""

    @abstractmethod
    def log(self) -> str:
        """Everything that was said, for whoever looks into a failure."""
