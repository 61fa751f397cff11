"""What does a work: a device, and the functions that a host's programs are here."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.performance.metrics import Work
from tests.system.devices import Gadget


@dataclass(frozen=True)
class Outcome:
    """What came of a work: figures by the metric's name; what was moved, in how many seconds."""

    figures: dict[str, float]
    moved_bytes: int
    operations: int
    seconds: float


Run = Callable[[float], Outcome]
"""Do the work for about so many seconds."""


class Subject(ABC):
    """A device, and the works that a host does with it."""

    name: str
    works: tuple[Work, ...]

    @abstractmethod
    def plugged(self) -> AbstractContextManager[Gadget]:
        """The device, in the server's port."""

    @abstractmethod
    def opened(self, gadget: Gadget, device: Path) -> AbstractContextManager[Mapping[str, Run]]:
        """Its works by their names, once the host's driver is through with `device` (sysfs)."""
