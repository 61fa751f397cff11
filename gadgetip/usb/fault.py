"""What is said about a descriptor that cannot be true.

Descriptors come from a device that somebody plugged in somewhere else, so a malformed one is the
peer's doing and never a crash. A `Fault` is the finding as data (a report can print or count it),
`DescriptorError` is the same thing raised. Both name the descriptor, where it begins, the field
and the value, because the person who reads the line has only `lsusb -v` to compare it with.
"""

from typing import NamedTuple

from gadgetip.errors import RemoteProtocolError

# Fields that every tool prints in hexadecimal; all others are counts, lengths and indices.
_HEXADECIMAL = frozenset({"bDescriptorType", "bEndpointAddress", "bmAttributes", "wMaxPacketSize"})


class Fault(NamedTuple):
    """One field of one descriptor that says something impossible."""

    descriptor: str  # its name, "interface"
    offset: int  # of its first byte, in the bytes that were parsed
    field: str  # the specification's name of it, "bNumEndpoints"
    value: int
    problem: str

    def __str__(self) -> str:
        value = f"0x{self.value:02x}" if self.field in _HEXADECIMAL else f"{self.value}"
        where = f"{self.descriptor} descriptor at byte {self.offset}"
        return f"{where}: {self.field} {value}: {self.problem}"

    def moved(self, distance: int) -> "Fault":
        """The same fault, seen in a larger piece of data that has `distance` bytes in front."""
        return self._replace(offset=self.offset + distance)


class DescriptorError(RemoteProtocolError):
    """A device sent descriptors that contradict the specification or themselves."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault
