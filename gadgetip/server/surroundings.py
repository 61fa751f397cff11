"""What the daemon asks of this machine, in one place, so that its tests can answer instead."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from gadgetip.server.bindings import Bindings, load_bindings
from gadgetip.server.hotplug import Hotplug
from gadgetip.server.inventory import find_local, read_inventory, still_reading
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.policy import Policy, load_policy
from gadgetip.server.safety import gather_facts, reason_to_keep
from gadgetip.service.asking import ASK_LIMIT_S, Service, ask

RUN_DIRECTORY = Path("/run/gadgetip")
SOCKET_NAME = "serve.sock"
SERVE = Service(RUN_DIRECTORY / SOCKET_NAME, "gadgetip serve", "gadgetip-serve")
"""The serve that runs on this machine: `{"command": "reconcile"}` has it read policy and bindings
again and apply them, `{"command": "state"}` asks who uses what."""


def ask_serve(request: dict[str, Any], limit_s: float = ASK_LIMIT_S) -> dict[str, Any] | None:
    """Ask the serve that runs on this machine; see `gadgetip.service.control.ask`."""
    return ask(SERVE, request, limit_s)


class Events(Protocol):
    """An iteration over hotplug events: the `busid` that one has is what has to be looked at."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def __aiter__(self) -> AsyncIterator[object]: ...


def reasons_to_keep(devices: tuple[LocalDevice, ...]) -> dict[str, str]:
    """For each device that should stay here, by bus id, why."""
    facts = gather_facts()
    reasons = ((device.busid, reason_to_keep(device, facts)) for device in devices)
    return {busid: reason for busid, reason in reasons if reason}


@dataclass(frozen=True)
class Surroundings:
    """The machine: what is plugged in, what its owner wishes, where things are kept."""

    read_inventory: Callable[[], tuple[LocalDevice, ...]] = read_inventory
    find_local: Callable[[str], LocalDevice | None] = find_local
    still_reading: Callable[[], frozenset[str]] = still_reading
    reasons_to_keep: Callable[[tuple[LocalDevice, ...]], dict[str, str]] = reasons_to_keep
    load_bindings: Callable[[], Bindings] = load_bindings
    load_policy: Callable[[Path | None], Policy] = load_policy
    hotplug: Callable[[], Events] = Hotplug
    run_directory: Path = field(default=RUN_DIRECTORY)
