"""What a backend offers, and what it makes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from gadgetip.gadget.plan import Plan


@dataclass(slots=True)
class Replica:
    """A built replica: its data path, as open file descriptors.

    `endpoints` maps the device's own bEndpointAddress to an endpoint file, read-write and
    non-blocking. The files may be inherited by another process, which is then the one that
    carries the traffic.
    """

    udc: str
    ep0: int
    endpoints: dict[int, int]

    @property
    def files(self) -> tuple[int, ...]:
        """Every open file."""
        return (self.ep0, *self.endpoints.values())


class Backend(ABC):
    """Builds and removes the replica of one controller. All of it needs root."""

    name: str

    def __init__(self, udc: str) -> None:
        self.udc = udc

    @abstractmethod
    def check(self) -> None:
        """Raise `PrerequisiteError` where the machine lacks something that this backend needs."""

    @abstractmethod
    def clean(self) -> None:
        """Remove what a process that died has left for this controller, and nothing else."""

    @abstractmethod
    def build(self, plan: Plan) -> Replica:
        """Make everything that can be made before the host sees it."""

    @abstractmethod
    def bind(self) -> None:
        """Show the replica to the host."""

    @abstractmethod
    def remove(self) -> None:
        """Unplug the replica and remove every trace of it; may be called at any stage, twice."""
