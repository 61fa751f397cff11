"""`short`, towards the host: for protocols that end every transfer with a short packet.

Where a specification says that a transfer ends with a packet that is not full, or is empty, the
device's own packets tell where transfers end. So a URB may be long, and the packets on the two
wires need not have the same size: a transfer ends for the host where it ended for the device.

* A URB that came back full has seen no end yet: its data is written as full packets. What is no
  whole packet of the host's waits for what follows.
* A URB that came back with less saw the end. Where that falls on a full packet of the host's (the
  device ended with an empty packet, or with a short one of another size) the host gets an empty
  one.
"""

from gadgetip.pump.shapers.base import ShaperContext, Side
from gadgetip.pump.shapers.in_shaper import InShaper

MAX_WRITE_BYTES = 32 * 1024
"""The kernel allocates a request in one piece; above this it may fail (PAGE_ALLOC_COSTLY_ORDER)."""


class ShortInShaper(InShaper):
    """One IN endpoint, transfer by transfer."""

    def __init__(self, side: Side, context: ShaperContext) -> None:
        super().__init__(side, context)
        packet = side.route.device_max_packet
        self._urb_bytes = max(side.route.transfer_bytes // packet, 1) * packet
        self._rest = b""
        """The beginning of a packet of the host's whose end has not come yet."""

    @property
    def urb_bytes(self) -> int:
        """As long as the route says, in whole packets."""
        return self._urb_bytes

    @property
    def holds_back(self) -> bool:
        """Whether the beginning of a packet of the host's waits for its end."""
        return bool(self._rest)

    def forget(self) -> None:
        """Drop what has arrived, with the packet that is not whole."""
        self.side.statistics.discarded += len(self._rest)
        self._rest = b""
        super().forget()

    def arrive(self, data: bytes, *, ended: bool) -> None:
        """Cut what a URB brought into writes, and add the empty packet that an end may need."""
        packet = self.side.route.host_max_packet
        is_end = ended and len(data) < self._urb_bytes
        data = self._rest + data
        whole = len(data) if is_end else len(data) - len(data) % packet
        data, self._rest = data[:whole], data[whole:]
        piece = max(MAX_WRITE_BYTES // packet, 1) * packet
        self._arrived.extend(data[at : at + piece] for at in range(0, len(data), piece))
        if is_end and len(data) % packet == 0:
            self._arrived.append(b"")

    def next_write(self) -> tuple[bytes | bytearray, int]:
        """One piece."""
        return self._arrived.popleft(), 1

    def flush(self) -> None:
        """A halt follows: the host gets what there is, though the packet is not whole."""
        if self._rest:
            self._arrived.append(self._rest)
            self._rest = b""
