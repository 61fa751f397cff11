"""The numbers of USB/IP: codes, states, flags, and the limits this side sets.

Names are those of the kernel and of the protocol document, without the prefixes that C needs.
Sources: Linux drivers/usb/usbip/usbip_common.h and include/uapi/linux/usbip.h, the user-space
tools' tools/usb/usbip/src/usbip_network.h, and Documentation/usb/usbip_protocol.rst.

The limits at the end are ours except where a source is named. They exist so that no length that
came over the wire is believed before it was compared with something.
"""

from enum import IntEnum, IntFlag
from typing import Final

VERSION: Final = 0x0111
"""Protocol 1.1.1, the only version there is in practice (usbip_network.h: USBIP_VERSION)."""

PORT: Final = 3240
"""The TCP port registered for USB/IP."""


class OpCode(IntEnum):
    """What one exchange of the operation phase is about (usbip_network.h: OP_*)."""

    REP_IMPORT = 0x0003
    REP_DEVLIST = 0x0005
    REQ_IMPORT = 0x8003
    REQ_DEVLIST = 0x8005

    @property
    def wire_name(self) -> str:
        """The name that the protocol document uses, such as OP_REQ_IMPORT."""
        return f"OP_{self.name}"


class OpStatus(IntEnum):
    """How a server answered a request (usbip_common.h: ST_*)."""

    OK = 0
    NA = 1
    DEV_BUSY = 2
    DEV_ERR = 3
    NODEV = 4
    ERROR = 5

    @property
    def sentence(self) -> str:
        """What this status means, in words for people."""
        return _STATUS_SENTENCES[self]


_STATUS_SENTENCES: Final = {
    OpStatus.OK: "the server granted the request",
    OpStatus.NA: "the server does not make this device available",
    OpStatus.DEV_BUSY: "the device is in use by another client",
    OpStatus.DEV_ERR: "the device is in an error state at the server, which must export it anew",
    OpStatus.NODEV: "the server exports no such device",
    OpStatus.ERROR: "the server failed to carry out the request",
}


class Command(IntEnum):
    """The four messages of the URB phase (usbip_common.h: USBIP_CMD_*, USBIP_RET_*)."""

    CMD_SUBMIT = 1
    CMD_UNLINK = 2
    RET_SUBMIT = 3
    RET_UNLINK = 4


class Direction(IntEnum):
    """Which way a transfer's data goes, seen from the client (USBIP_DIR_*)."""

    OUT = 0
    IN = 1


class TransferFlag(IntFlag):
    """CMD_SUBMIT.transfer_flags (include/uapi/linux/usbip.h: USBIP_URB_*).

    A client has a use for SHORT_NOT_OK, ISO_ASAP, ZERO_PACKET, DIR_IN, and for DMA_MAP_SG, which
    makes the kernel's stub collect a large buffer from single pages (never set that one with a
    transfer_buffer_length of 0: the stub does not survive it). The others tell how the client's
    own kernel mapped its memory; they travel only because a kernel client sends its flags whole.
    """

    SHORT_NOT_OK = 0x0001
    ISO_ASAP = 0x0002
    NO_TRANSFER_DMA_MAP = 0x0004
    ZERO_PACKET = 0x0040
    NO_INTERRUPT = 0x0080
    FREE_BUFFER = 0x0100
    DIR_IN = 0x0200
    DMA_MAP_SINGLE = 0x0001_0000
    DMA_MAP_PAGE = 0x0002_0000
    DMA_MAP_SG = 0x0004_0000
    MAP_LOCAL = 0x0008_0000
    SETUP_MAP_SINGLE = 0x0010_0000
    SETUP_MAP_LOCAL = 0x0020_0000
    DMA_SG_COMBINED = 0x0040_0000
    ALIGNED_TEMP_BUFFER = 0x0080_0000


NOT_ISOCHRONOUS: Final = -1
"""The number_of_packets that the protocol document gives a transfer that is not isochronous.

On the wire it is 0xffffffff; the field is signed. Linux sends 0 instead, and both mean the same.
"""

BUSID_BYTES: Final = 32
"""The fixed size of a busid with its NUL (usbip_common.h: SYSFS_BUS_ID_SIZE)."""

PATH_BYTES: Final = 256
"""The fixed size of a path with its NUL (usbip_common.h: SYSFS_PATH_MAX)."""

SETUP_BYTES: Final = 8
"""The size of a setup packet (USB 2.0, 9.3)."""

MAX_ENDPOINT: Final = 15
"""The highest endpoint number (USB 2.0, 9.6.6)."""

MAX_ISO_PACKETS: Final = 1024
"""The most isochronous packets in one URB (usbip_common.h: USBIP_MAX_ISO_PACKETS)."""

MAX_DEVICES: Final = 1024
"""The longest list of devices that is believed: a Linux server exports 16, 127 fit on a bus."""

MAX_BUS_NUMBER: Final = 0xFFFF
"""The highest busnum and devnum: both are halves of the 32 bit devid."""

DEFAULT_MAX_TRANSFER_BYTES: Final = 16 * 1024 * 1024
"""The largest transfer unless told otherwise: what usbfs lets all its users have together."""

MAX_PENDING: Final = 16384
"""The most submits, and the most unlinks, that may wait for an answer on one connection.

A driver keeps a few hundred in flight at most. A client that never reads its answers must not
grow the server's tables for ever.
"""

MAX_TOMBSTONES: Final = 4096
"""How many unlinked submits of unknown fate are remembered; the oldest is forgotten first."""
