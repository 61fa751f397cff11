"""Everything that a disturbance can reach: devices, server, keeper of the attachments, loads."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.devices import SERVER_CABLES, Device
from tests.soak.kept import Kept
from tests.soak.load import Load
from tests.soak.reports import Report
from tests.soak.server import Server
from tests.system import host


@dataclass
class Scene:
    """The bench while the soak runs; devices, cables and loads go by the attachment's name."""

    devices: Mapping[str, Device]
    cables: Mapping[str, str]
    server: Server
    kept: Kept
    loads: Mapping[str, Load]
    random: random.Random
    by_hand: dict[str, list[Report]] = field(default_factory=dict)
    """What the host did to its own ports: whoever did it knows."""

    @property
    def names(self) -> list[str]:
        """Of the attachments."""
        return list(self.devices)

    def replica(self, name: str) -> Path:
        """Where the host has an attachment's replica in sysfs; AssertionError if it has none."""
        found = host.device_behind(host.controller_of(self.cables[name]))
        assert found is not None, f"the host has no {name}"
        return found

    def free_cable(self) -> str:
        """One at the server that no device is in."""
        used = {device.cable for device in self.devices.values()}
        return self.random.choice([cable for cable in SERVER_CABLES if cable not in used])

    def host_did(self, name: str, what: str) -> None:
        """Note what the host itself does."""
        self.by_hand.setdefault(name, []).append(Report(time.time(), what))

    def reports(self, name: str) -> list[Report]:
        """Every reported loss of an attachment."""
        return self.kept.reports(name) + self.by_hand.get(name, [])
