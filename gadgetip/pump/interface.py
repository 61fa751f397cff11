"""What a pump is, whatever it is written in.

A pump is given a stream to the imported device and who opens the endpoint files of the replica
(`EndpointFiles`: each backend has its own way). Whoever owns it tells it which endpoints the host
has enabled (`start`, with an `EndpointRoute` for each: the plan's decisions) and which not any
more (`stop`), asks it to carry control requests, and hears of what it could not settle by itself
through a `PumpListener`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from gadgetip.errors import GadgetipError
from gadgetip.pump.statistics import EndpointStatistics
from gadgetip.usb import Direction, SetupPacket, TransferType


class Shaping(StrEnum):
    """The names of the shapers, as profiles write them (see `gadgetip.pump.shapers`)."""

    PACKET = "packet"
    BOT = "bot"
    SHORT = "short"
    INTERRUPT = "interrupt"
    UAS = "uas"


class Pipe(IntEnum):
    """bPipeID: what a bulk endpoint of USB Attached SCSI is for (UAS, 5.3.3.5, table 3)."""

    NONE = 0
    COMMAND = 1
    STATUS = 2
    DATA_IN = 3
    DATA_OUT = 4


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """The way of one endpoint's bytes between the device and the host.

    `address` is the device's own bEndpointAddress, `host_address` the one that the host sees;
    `alternate` is the bAlternateSetting of the setting of `interface` that the endpoint belongs to.
    `device_max_packet` and `host_max_packet` are bytes a packet on either wire; `interval` is
    that of a URB (milliseconds at full speed, microframes from high speed on; 0 for bulk).
    `window_urbs` bounds the URBs in flight, `transfer_bytes` the size of one. `pipe` is the
    bPipeID that the pipe usage descriptor of a UAS endpoint names, 0 elsewhere. Without
    `read_ahead` the device is asked for no more than one URB beyond what the host has taken.
    """

    address: int
    host_address: int
    interface: int
    transfer_type: TransferType
    device_max_packet: int
    host_max_packet: int
    shaping: Shaping
    window_urbs: int
    transfer_bytes: int
    interval: int = 0
    alternate: int = 0
    pipe: int = Pipe.NONE
    read_ahead: bool = True

    @property
    def number(self) -> int:
        """The endpoint number, 1 to 15."""
        return self.address & 0x0F

    @property
    def direction(self) -> Direction:
        """IN is towards the host (USB 2.0, 9.6.6)."""
        return Direction.IN if self.address & 0x80 else Direction.OUT


class StallError(GadgetipError):
    """The device answered a control request with a stall, or with an error that equals one.

    `status` is the negative errno that the server reported.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the device refused the request (status {status})")
        self.status = status


class ControlTimeoutError(GadgetipError):
    """The device did not answer a control request in time; the request has been unlinked."""


class EndpointFiles(Protocol):
    """Who opens and closes the endpoint files of the replica: the backend's knowledge."""

    def open(self, route: EndpointRoute) -> int:
        """The file of an enabled endpoint, read-write and non-blocking; raises OSError."""

    def close(self, route: EndpointRoute, file: int) -> None:
        """The endpoint is not used any more."""


class PumpListener(Protocol):
    """Who hears what a pump cannot settle by itself. Every call comes from the pump's loop."""

    def link_ended(self, reason: str) -> None:
        """The stream to the server ended or broke; nothing moves any more."""

    def device_gone(self) -> None:
        """The server says that the device left its port."""

    def noticed(self, text: str) -> None:
        """Something that a person may have to know: bytes discarded, an endpoint that failed."""


class Pump(Protocol):
    """One attachment's engine. All methods belong to the thread of its event loop."""

    async def start(self, routes: tuple[EndpointRoute, ...]) -> None:
        """Open these endpoints in addition to those that run: the host has enabled them.

        Raises `GadgetipError` where one cannot be opened, and none of them runs then, or where an
        address runs already: `stop` comes first.
        """

    async def stop(self, interfaces: Collection[int] | None = None) -> None:
        """Cancel what is in flight on both sides, await each answer, and close the files.

        `interfaces` are bInterfaceNumbers of the device; None is all of them.
        """

    async def control(self, setup: SetupPacket, data: bytes = b"") -> bytes:
        """Carry one control request to the device, in the host's order.

        Returns the data stage of an IN request. Raises `StallError`, `ControlTimeoutError`.
        """

    async def finish(self, limit_s: float) -> int:
        """Take no more from the host; wait for what it was told is written.

        Returns the bytes whose delivery was not confirmed within `limit_s` seconds.
        """

    @property
    def statistics(self) -> dict[int, EndpointStatistics]:
        """What has moved so far, by the device's bEndpointAddress."""
