"""The USB/IP protocol 1.1.1, without I/O: bytes in, messages out; messages in, bytes out.

This room is the one place that knows how USB/IP looks on the wire. It owns no socket, no thread
and no clock, so it can be tested to the last byte, and the same code serves the client that
imports a device, the server that exports one, and whatever carries the stream between them. It
imports nothing of ours but the root of all errors.

Two objects have state: `ClientConnection` and `ServerConnection`, the two ends of one stream (the
theory is in `connection`). They walk through the table in `phases` and keep the book in `ledger`,
which says what may still be answered. Everything else is pure: `messages` are values, `layout`
says where each field lies, `rules` says what is well-formed whoever made it, `build` and `parse`
translate.

Two kinds of error, by blame. `LocalProtocolError`: we asked for something that the protocol does
not allow. `RemoteProtocolError`: the peer sent it; the message names the field and the value.
Nothing that a peer sends causes anything else, and no length that it names is believed before it
was compared with a limit.
"""

from gadgetip.wire.build import build, build_header, build_parts
from gadgetip.wire.client_connection import ClientConnection
from gadgetip.wire.connection import NEED_DATA, Connection, NeedData
from gadgetip.wire.constants import (
    BUSID_BYTES,
    DEFAULT_MAX_TRANSFER_BYTES,
    MAX_DEVICES,
    MAX_ISO_PACKETS,
    MAX_PENDING,
    MAX_TOMBSTONES,
    NOT_ISOCHRONOUS,
    PATH_BYTES,
    PORT,
    VERSION,
    Command,
    Direction,
    OpCode,
    OpStatus,
    TransferFlag,
)
from gadgetip.wire.messages import (
    ClientMessage,
    CmdSubmit,
    CmdUnlink,
    ConnectionClosed,
    DeviceRecord,
    InterfaceRecord,
    IsoPacketDescriptor,
    Message,
    Payload,
    RepDevlist,
    RepImport,
    ReqDevlist,
    ReqImport,
    RetSubmit,
    RetUnlink,
    ServerMessage,
)
from gadgetip.wire.phases import Phase
from gadgetip.wire.server_connection import ServerConnection

__all__ = [
    "BUSID_BYTES",
    "DEFAULT_MAX_TRANSFER_BYTES",
    "MAX_DEVICES",
    "MAX_ISO_PACKETS",
    "MAX_PENDING",
    "MAX_TOMBSTONES",
    "NEED_DATA",
    "NOT_ISOCHRONOUS",
    "PATH_BYTES",
    "PORT",
    "VERSION",
    "ClientConnection",
    "ClientMessage",
    "CmdSubmit",
    "CmdUnlink",
    "Command",
    "Connection",
    "ConnectionClosed",
    "DeviceRecord",
    "Direction",
    "InterfaceRecord",
    "IsoPacketDescriptor",
    "Message",
    "NeedData",
    "OpCode",
    "OpStatus",
    "Payload",
    "Phase",
    "RepDevlist",
    "RepImport",
    "ReqDevlist",
    "ReqImport",
    "RetSubmit",
    "RetUnlink",
    "ServerConnection",
    "ServerMessage",
    "TransferFlag",
    "build",
    "build_header",
    "build_parts",
]
