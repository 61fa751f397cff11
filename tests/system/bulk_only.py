"""A disk without a kernel: SCSI over bulk-only transport, through a `WireClient`.

The commands of SPC-3 and SBC-3 that reading takes, in the wrappers of the Bulk-Only Transport
specification 1.0, section 5.
"""

import struct

from gadgetip.usb import parse_device_file
from tests.system.wire_client import WireClient

CBW = struct.Struct("<4sIIBBB16s")
CSW_BYTES = 13
SECTOR = 512
SET_CONFIGURATION = bytes.fromhex("0009010000000000")


class BulkOnlyDisk:
    """The disk of an imported stick."""

    def __init__(self, client: WireClient, descriptors: bytes) -> None:
        tree = parse_device_file(descriptors)
        endpoints = [e.address for s in tree.configurations[0].settings for e in s.endpoints]
        self._in = next(address for address in endpoints if address & 0x80)
        self._out = next(address for address in endpoints if not address & 0x80)
        self._client = client
        self._tag = 0
        client.control_out(SET_CONFIGURATION)
        for _ in range(3):  # the first command after a reset is told of the reset
            if self._command(bytes(6), 0)[1] == 0:
                return
        raise AssertionError("the disk does not become ready")

    def read(self, sector: int, count: int) -> bytes:
        """READ(10)."""
        data, status = self._command(struct.pack(">BBIBHB", 0x28, 0, sector, 0, count, 0), count)
        assert status == 0, f"READ(10) ended with status {status}"
        return data

    def _command(self, block: bytes, sectors: int) -> tuple[bytes, int]:
        self._tag += 1
        length = sectors * SECTOR
        wrapper = CBW.pack(b"USBC", self._tag, length, 0x80, 0, len(block), block)
        self._client.write(self._out, wrapper)
        data = self._client.read(self._in, length) if length else b""
        answer = self._client.read(self._in, CSW_BYTES)
        assert answer[:8] == b"USBS" + self._tag.to_bytes(4, "little"), answer.hex()
        return data, answer[12]
