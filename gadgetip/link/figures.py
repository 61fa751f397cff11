"""What the kernel counts of a TCP stream.

`getsockopt(TCP_INFO)` fills `struct tcp_info` (include/uapi/linux/tcp.h), which has only ever grown
at its end: `tcpi_rtt` in microseconds at byte 68, `tcpi_bytes_acked` and `tcpi_bytes_received` at
bytes 120 and 128 (since Linux 4.1).
"""

import socket
import struct
from dataclasses import dataclass

_ROUND_TRIP = struct.Struct("=68xI")
_BYTES = struct.Struct("=120xQQ")


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Bytes that the peer has acknowledged and that came from it; the smoothed round trip."""

    sent: int
    received: int
    round_trip_s: float

    @classmethod
    def of(cls, stream: socket.socket) -> "StreamFigures | None":
        """Those of a stream; None where it is no TCP stream, or the kernel is too old."""
        if stream.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        try:
            info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except OSError:
            return None
        if len(info) < _BYTES.size:
            return None
        sent, received = _BYTES.unpack_from(info)
        (microseconds,) = _ROUND_TRIP.unpack_from(info)
        return cls(sent, received, microseconds / 1e6)
