"""`packet` and `interrupt`, towards the device: each read takes exactly one packet of the host's.

Consecutive full packets that have arrived, and one short packet at their end, travel as one URB,
which leaves the server as the same packets; a zero-length packet is a URB of its own.
"""

from gadgetip.pump.shapers.merging import merge
from gadgetip.pump.shapers.out_shaper import OutShaper


class PacketOutShaper(OutShaper):
    """One OUT endpoint, packet by packet."""

    @property
    def read_bytes(self) -> int:
        """One packet of the host."""
        return self.side.route.host_max_packet

    def arrive(self, data: memoryview) -> None:
        """A packet, which may be empty."""
        self._arrived.append(data)

    def next_urb(self) -> tuple[bytes, int]:
        """As many packets as go together."""
        route = self.side.route
        data, packets = merge(self._arrived, route.host_max_packet, route.transfer_bytes)
        return bytes(data), packets
