"""`short`, towards the device: reads of many packets, for hosts that end every transfer.

A read is over when the host ends its transfer with a short or an empty packet, or when it is full.
A host that ends a transfer on a full packet would wait for ever, so this direction is chosen only
where a profile says so. What a read brought is one URB. A read that was not full saw the end of
the transfer; where that falls on a full packet of the device's, the device gets an empty one.
"""

import math

from gadgetip.pump.shapers.base import ShaperContext, Side
from gadgetip.pump.shapers.out_shaper import OutShaper

MAX_READ_BYTES = 32 * 1024
"""The kernel allocates a request in one piece; above this it may fail (PAGE_ALLOC_COSTLY_ORDER)."""


class ShortOutShaper(OutShaper):
    """One OUT endpoint, transfer by transfer."""

    def __init__(self, side: Side, context: ShaperContext) -> None:
        super().__init__(side, context)
        route = side.route
        # Whole packets on both wires: a full read may be followed by more of the transfer.
        packet = math.lcm(route.host_max_packet, route.device_max_packet)
        wanted = min(route.transfer_bytes, MAX_READ_BYTES)
        self._read_bytes = max(wanted // packet, 1) * packet

    @property
    def read_bytes(self) -> int:
        """As long as the route says, in whole packets of both wires."""
        return self._read_bytes

    def arrive(self, data: memoryview) -> None:
        """What a read brought, and the empty packet that the end may need."""
        if data:
            self._arrived.append(data)
        if len(data) < self._read_bytes and len(data) % self.side.route.device_max_packet == 0:
            self._arrived.append(memoryview(b""))

    def next_urb(self) -> tuple[bytes, int]:
        """One read."""
        return bytes(self._arrived.popleft()), 1
