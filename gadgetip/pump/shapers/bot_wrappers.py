"""The two wrappers of the bulk-only transport, as far as a shaper has to read them.

Source: USB Mass Storage Class, Bulk-Only Transport 1.0, sections 5.1 (CBW) and 5.2 (CSW), 3.1
(Bulk-Only Mass Storage Reset).
"""

import struct
from dataclasses import dataclass

from gadgetip.usb import Recipient, RequestType, SetupPacket

CBW_LENGTH = 31
CSW_LENGTH = 13
_CBW = struct.Struct("<4sIIBBB")
_CSW = struct.Struct("<4sIIB")
RESET_REQUEST = 0xFF
MAX_BLOCK_BYTES = 16


@dataclass(frozen=True, slots=True)
class CommandBlockWrapper:
    """What a host announces: `data_length` bytes will move, `data_in` tells where to.

    `unit` is bCBWLUN, `block` the command block with the length that bCBWCBLength gives it.
    """

    tag: int
    data_length: int
    data_in: bool
    unit: int = 0
    block: bytes = b""

    @classmethod
    def read(cls, data: bytes | memoryview) -> "CommandBlockWrapper | None":
        """The wrapper in `data`, or None where that is no valid CBW (6.2.1)."""
        if len(data) != CBW_LENGTH:
            return None
        signature, tag, length, flags, unit, size = _CBW.unpack_from(data)
        if signature != b"USBC":
            return None
        return cls(
            tag=tag,
            data_length=length,
            data_in=bool(flags & 0x80) and length > 0,
            unit=unit & 0x0F,
            block=bytes(data[_CBW.size :][: min(size & 0x1F, MAX_BLOCK_BYTES)]),
        )

    def pack(self) -> bytes:
        """The 31 bytes."""
        flags = 0x80 if self.data_in else 0
        head = _CBW.pack(b"USBC", self.tag, self.data_length, flags, self.unit, len(self.block))
        return (head + self.block).ljust(CBW_LENGTH, b"\0")

    @property
    def operation(self) -> int:
        """The operation code of the command block; -1 where there is none."""
        return self.block[0] if self.block else -1


def pack_status(tag: int, residue: int, status: int) -> bytes:
    """A CSW (5.2); `status` is 0 passed, 1 failed, 2 phase error."""
    return _CSW.pack(b"USBS", tag, residue, status)


def read_status(data: bytes | memoryview, tag: int) -> int | None:
    """BCSWStatus of the CSW that answers this tag; None where `data` is none."""
    return data[CSW_LENGTH - 1] if is_status_of(data, tag) else None


def is_status_of(data: bytes | memoryview, tag: int) -> bool:
    """Whether `data` is the CSW that answers the command with this tag (6.3)."""
    if len(data) != CSW_LENGTH:
        return False
    signature, status_tag, _, _ = _CSW.unpack(data)
    return bool(signature == b"USBS" and status_tag == tag)


def is_bulk_only_reset(setup: SetupPacket, interface: int) -> bool:
    """Whether a control request is the Bulk-Only Mass Storage Reset of this interface (3.1)."""
    return (
        setup.type is RequestType.CLASS
        and setup.recipient is Recipient.INTERFACE
        and setup.bRequest == RESET_REQUEST
        and setup.wIndex & 0xFF == interface
    )


def round_up(size: int, packet: int) -> int:
    """The least number of bytes in whole packets that is not less than `size`."""
    return -(-size // packet) * packet
