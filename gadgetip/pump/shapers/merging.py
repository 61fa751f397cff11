"""Packets that have arrived, put together without changing what is on either wire.

Full packets that follow one another, and one short packet at their end, leave as the same packets
when they are given away in one piece. A zero-length packet is always a piece of its own.
"""

from collections import deque
from collections.abc import Sized


def merge(
    arrived: deque[bytes] | deque[memoryview], full: int, longest: int
) -> tuple[bytearray, int]:
    """Take the next piece from `arrived`: at most `longest` bytes, packets of `full` bytes.

    Returns the piece and how many packets it is. `longest` never cuts a packet.
    """
    data, packets = bytearray(arrived.popleft()), 1
    while data and len(data) % full == 0 and arrived and _fits(arrived[0], longest - len(data)):
        data += arrived.popleft()
        packets += 1
    return data, packets


def _fits(packet: Sized, room: int) -> bool:
    return 0 < len(packet) <= room
