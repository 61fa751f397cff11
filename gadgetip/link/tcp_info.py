"""What the kernel knows of a connection: how long a round trip takes, how much has moved.

A round trip is measured from a segment to its acknowledgement, which a peer may delay by 40 ms and
more; the shortest one of the last minutes (5 by default) is nearest to the distance itself.

Source: `struct tcp_info`, include/uapi/linux/tcp.h; it has only ever grown at its end.
"""

import socket
import struct
from dataclasses import dataclass

_COUNT = struct.Struct("=I")
_UNACKNOWLEDGED_AT = 24  # tcpi_unacked, segments
_ROUND_TRIP_AT = 68  # tcpi_rtt, microseconds
_RETRANSMITS_AT = 100  # tcpi_total_retrans, segments
_SHORTEST_AT = 148  # tcpi_min_rtt, microseconds
_UNKNOWN = 0xFFFFFFFF
_BYTES = struct.Struct("=QQ")
_BYTES_AT = 120  # tcpi_bytes_acked, tcpi_bytes_received
_WHOLE = 256


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """The smoothed round trip in seconds, and the bytes that moved, headers of URBs included.

    `shortest_round_trip_s` is None before the first one; `retransmits`, and `unacknowledged`, what
    was sent and has not been acknowledged, are segments.
    """

    round_trip_s: float
    bytes_sent: int
    bytes_received: int
    retransmits: int
    shortest_round_trip_s: float | None
    unacknowledged: int


def connection_info(stream: socket.socket) -> ConnectionInfo | None:
    """Ask the kernel; None for what is no TCP connection, or not any more."""
    try:
        data = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WHOLE)
    except OSError:
        return None
    if len(data) < _SHORTEST_AT + _COUNT.size:
        return None
    microseconds, retransmits, shortest = (
        _COUNT.unpack_from(data, at)[0] for at in (_ROUND_TRIP_AT, _RETRANSMITS_AT, _SHORTEST_AT)
    )
    sent, received = _BYTES.unpack_from(data, _BYTES_AT)
    return ConnectionInfo(
        microseconds / 1e6,
        sent,
        received,
        retransmits,
        None if shortest == _UNKNOWN else shortest / 1e6,
        _COUNT.unpack_from(data, _UNACKNOWLEDGED_AT)[0],
    )
