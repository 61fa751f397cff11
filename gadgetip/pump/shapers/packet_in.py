"""`packet` and `interrupt`, towards the host: each URB asks the device for exactly one packet.

What has arrived while the host was busy is merged: consecutive full packets, and one short packet
at their end, become one write, which leaves the controller as the same packets. A zero-length
packet is a write of its own.
"""

from gadgetip.pump.shapers.in_shaper import InShaper
from gadgetip.pump.shapers.merging import merge


class PacketInShaper(InShaper):
    """One IN endpoint, packet by packet."""

    @property
    def urb_bytes(self) -> int:
        """One packet of the device."""
        return self.side.route.device_max_packet

    def arrive(self, data: bytes, *, ended: bool) -> None:  # noqa: ARG002 (a packet is whole)
        """A packet, which may be empty."""
        self._arrived.append(data)

    def next_write(self) -> tuple[bytes | bytearray, int]:
        """As many packets as go together."""
        route = self.side.route
        return merge(self._arrived, route.device_max_packet, route.transfer_bytes)
