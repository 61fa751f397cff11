"""What clients asked of emulated devices, for tests to assert on."""

from collections import deque
from dataclasses import dataclass, field

from gadgetip.usb import SetupPacket

KEPT = 50_000
"""Entries; the oldest are forgotten, so that a long run does not fill the memory."""


@dataclass(slots=True)
class UrbEntry:
    """One CMD_SUBMIT and what became of it.

    `address` is the bEndpointAddress that ep and direction make (endpoint 0: 0x00 or 0x80).
    `setup`, `data` (of the OUT data stage) and `answer` are those of a control request; the bytes
    of other endpoints are not kept. `status` is None while the URB waits.
    """

    busid: str
    seqnum: int
    address: int
    length: int
    setup: SetupPacket | None = None
    data: bytes = b""
    status: int | None = None
    actual_length: int = 0
    answer: bytes = b""
    unlinked: bool = False


@dataclass(slots=True)
class Journal:
    """Everything that came, in order."""

    entries: deque[UrbEntry] = field(default_factory=lambda: deque(maxlen=KEPT))
    imports: list[str] = field(default_factory=list)
    """The busid of each granted import."""
    departures: list[str] = field(default_factory=list)
    """The busid of each import that is over."""
    lists: int = 0
    violations: list[str] = field(default_factory=list)
    """What a client did that the kernel's stub would not have survived or answered."""

    def controls(self, *, standard: bool = True) -> list[SetupPacket]:
        """The control requests, in order; without the standard ones on demand."""
        found = [entry.setup for entry in list(self.entries) if entry.setup is not None]
        return [setup for setup in found if standard or setup.type != 0]

    def requests(self, bmRequestType: int, bRequest: int) -> list[UrbEntry]:
        """The control requests of one kind, with data and answer."""
        return [
            entry
            for entry in list(self.entries)
            if entry.setup is not None
            and (entry.setup.bmRequestType, entry.setup.bRequest) == (bmRequestType, bRequest)
        ]

    def urbs(self, address: int) -> list[UrbEntry]:
        """The URBs of one endpoint address."""
        return [entry for entry in list(self.entries) if entry.address == address]
