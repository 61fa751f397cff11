"""What a backend offers, and what it makes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from gadgetip.gadget.capabilities import Capabilities
from gadgetip.gadget.host_events import HostEvents
from gadgetip.gadget.planned import Plan
from gadgetip.pump import EndpointFiles


class ReplicaEndpoints(EndpointFiles, Protocol):
    """The endpoint files of a replica; see `gadgetip.pump.EndpointFiles`."""

    def choose(self, configuration: int) -> None:
        """From here on the routes are those of the configuration with this value."""


@dataclass(slots=True)
class Replica:
    """A built replica: its data path.

    `events` is what endpoint 0 tells, `endpoints` who opens its endpoint files. All of it may be
    inherited by another process, which is then the one that carries the traffic; `files` are the
    open ones which that takes, a lock of the backend's among them. `wakeup` is a file that wakes
    the host up when "1" is written to it, None where it cannot be woken.
    """

    udc: str
    events: tuple[HostEvents, ...]
    endpoints: ReplicaEndpoints
    files: frozenset[int]
    wakeup: int | None = None


class Backend(ABC):
    """Builds and removes the replica of one controller. All of it needs root."""

    name: str

    def __init__(self, udc: str) -> None:
        self.udc = udc

    @classmethod
    @abstractmethod
    def declared(cls) -> Capabilities:
        """What it can do where nothing stands against it; needs no root and loads nothing."""

    @classmethod
    @abstractmethod
    def capabilities(cls) -> Capabilities:
        """What it can do on this machine, now; touches nothing but what has to be loaded."""

    @abstractmethod
    def clean(self) -> None:
        """Remove what a process that died has left for this controller, and nothing else."""

    @abstractmethod
    def build(self, plan: Plan, worker_uid: int) -> Replica:
        """Make everything that can be made before the host sees it.

        `worker_uid` is the user that will open the endpoint files.
        """

    @abstractmethod
    def bind(self) -> None:
        """Show the replica to the host."""

    @abstractmethod
    def remove(self) -> None:
        """Unplug the replica and remove every trace of it; may be called at any stage, twice."""
