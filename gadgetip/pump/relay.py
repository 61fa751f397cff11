"""The pump of the vhci sink: a relay between a server and vhci_hcd, in C (native/relay.h).

vhci_hcd carries URBs as its drivers make them, each awaited. The relay passes them on, and where
an interface speaks the bulk-only transport of mass storage it answers for what is sent and asks for
what will be read, as the shaper `bot` does for a replica.
"""

import os
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType
from typing import NamedTuple

from gadgetip.usb import (
    AlternateSetting,
    DeviceTree,
    Direction,
    TransferType,
    speaks_bulk_only,
)

MAX_SETTINGS = 4
"""For how many the relay has memory; more are passed on as they are."""


class RelaySetting(NamedTuple):
    """One alternate setting that is more than passed on; `out` and `in_` are endpoint numbers."""

    configuration: int
    interface: int
    alternate: int
    out: int
    in_: int
    in_packet: int


class RelayEnd(IntEnum):
    """Why a relay ended (native/relay.h, `relay_end`)."""

    RUNS = 0
    STOPPED = 1
    SERVER_CLOSED = 2
    SERVER_FAILED = 3
    SERVER_NONSENSE = 4
    KERNEL_CLOSED = 5
    KERNEL_FAILED = 6
    KERNEL_NONSENSE = 7


class RelayEvent(IntEnum):
    """What a person may have to know (native/relay.h, `relay_event_kind`)."""

    STALLS = 1
    SILENT = 2
    LOST = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    """What has moved (native/relay.h, `relay_statistics`); bytes of data, without headers."""

    bytes_in: int
    bytes_out: int
    urbs_in: int
    urbs_out: int
    posted: int
    served: int
    saved: int
    discarded: int
    halts: int
    errors: int


def relay_settings(tree: DeviceTree) -> list[RelaySetting]:
    """The alternate settings of a device that a relay knows more about: bulk-only mass storage."""
    found = [
        setting
        for configuration in tree.configurations
        for each in configuration.settings
        if (setting := _bulk_only(configuration.value, each)) is not None
    ]
    return found[:MAX_SETTINGS]


def _bulk_only(configuration: int, setting: AlternateSetting) -> RelaySetting | None:
    if not speaks_bulk_only(setting):
        return None
    bulk = {
        each.descriptor.direction: each.descriptor
        for each in setting.endpoints
        if each.descriptor.transfer_type is TransferType.BULK
    }
    out, in_ = bulk[Direction.OUT], bulk[Direction.IN]
    numbers = (out.bEndpointAddress & 0x0F, in_.bEndpointAddress & 0x0F)
    if 0 in numbers or not 8 <= in_.max_packet <= 1024:
        return None
    return RelaySetting(
        configuration, setting.interface, setting.alternate, *numbers, in_.max_packet
    )


class Relay:
    """A relay that runs until one of its two streams ends, or `stop`.

    Raises `OSError` where the kernel refuses what it takes.
    """

    def __init__(
        self, module: ModuleType, server: int, kernel: int, settings: list[RelaySetting]
    ) -> None:
        self._core = module.Relay(server, kernel, [tuple(each) for each in settings])
        self._core.start()

    def fileno(self) -> int:
        """Readable when there is something to `take`, or the relay has ended."""
        return int(self._core.fileno())

    def take(self) -> list[str]:
        """What has happened, in words for people."""
        try:
            os.read(self.fileno(), 8)
        except BlockingIOError:
            return []
        texts = []
        while (event := self._core.take_event()) is not None:
            texts.append(_in_words(*event))
        return texts

    def ended(self) -> tuple[RelayEnd, str]:
        """Why it ended, and the kernel's words where it has any; `RUNS` while it has not."""
        why, error = self._core.ended()
        return RelayEnd(why), os.strerror(error) if error > 0 else ""

    def statistics(self) -> RelayStatistics:
        """What has moved so far."""
        return RelayStatistics(*self._core.statistics())

    def stop(self) -> None:
        """End it; both streams are shut down."""
        self._core.stop()


def _in_words(kind: int, endpoint: int, value: int) -> str:
    if kind in {RelayEvent.STALLS, RelayEvent.SILENT}:
        does = "stalls" if kind == RelayEvent.STALLS else "is silent"
        return (
            f"the device {does} when its status is asked for ahead of time: from now on each "
            "command takes a second round trip"
        )
    if kind == RelayEvent.LOST:
        return f"endpoint 0x{endpoint:02x}: {value} bytes were lost when a command was broken off"
    return f"endpoint 0x{endpoint:02x} failed at the device (status {value}): its driver recovers"
