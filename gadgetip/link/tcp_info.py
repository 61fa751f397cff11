"""What the kernel knows of a connection: how long a round trip takes, how much has moved.

Source: `struct tcp_info`, include/uapi/linux/tcp.h; it has only ever grown at its end.
"""

import socket
import struct
from dataclasses import dataclass

_ROUND_TRIP = struct.Struct("=I")
_ROUND_TRIP_AT = 68  # tcpi_rtt, microseconds
_BYTES = struct.Struct("=QQ")
_BYTES_AT = 120  # tcpi_bytes_acked, tcpi_bytes_received
_WHOLE = 256


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """The smoothed round trip in seconds, and the bytes that moved, headers of URBs included."""

    round_trip_s: float
    bytes_sent: int
    bytes_received: int


def connection_info(stream: socket.socket) -> ConnectionInfo | None:
    """Ask the kernel; None for what is no TCP connection, or not any more."""
    try:
        data = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WHOLE)
    except OSError:
        return None
    if len(data) < _BYTES_AT + _BYTES.size:
        return None
    (microseconds,) = _ROUND_TRIP.unpack_from(data, _ROUND_TRIP_AT)
    sent, received = _BYTES.unpack_from(data, _BYTES_AT)
    return ConnectionInfo(microseconds / 1e6, sent, received)
