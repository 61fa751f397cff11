"""Servers that break USB/IP where a device is listed or imported."""

import asyncio

from gadgetip.wire import DeviceRecord, OpStatus, RepDevlist, RepImport
from gadgetip.wire.layout import DEVICE_COUNT, OP_COMMON
from tests.emulated.session import Session


class Garbage(Session):
    """Sends 4 KiB of garbage behind the import reply."""

    async def granted(self, record: DeviceRecord) -> None:
        """In one piece with it."""
        self.write(self.connection.send(RepImport(OpStatus.OK, record)) + b"\xa5" * 4096)


class ImportReply(Session):
    """An import reply that is changed."""

    async def granted(self, record: DeviceRecord) -> None:
        """Changed after it was made."""
        self.write(self.change(self.connection.send(RepImport(OpStatus.OK, record))))

    def change(self, data: bytes) -> bytes:
        """What is sent instead: op_common of 8 bytes, then the device: path, busid, numbers."""
        raise NotImplementedError


class OtherBusid(ImportReply):
    """Grants another device than the one that was asked for."""

    def change(self, data: bytes) -> bytes:
        """The busid is behind op_common and the path."""
        return data[:264] + b"9-9".ljust(32, b"\0") + data[296:]


class ControlCharacters(ImportReply):
    """Has escape sequences in the path."""

    def change(self, data: bytes) -> bytes:
        """They would clear the screen."""
        return data[:8] + b"\x1b[2J\x1b[31m".ljust(256, b"\0") + data[264:]


class Unterminated(ImportReply):
    """Has a path without its NUL."""

    def change(self, data: bytes) -> bytes:
        """256 letters."""
        return data[:8] + b"A" * 256 + data[264:]


class SpeedOutOfRange(ImportReply):
    """Says that the device has speed 99."""

    def change(self, data: bytes) -> bytes:
        """Behind busid, busnum and devnum."""
        return data[:304] + (99).to_bytes(4, "big") + data[308:]


class OtherVersion(ImportReply):
    """Answers in version 6.6.6."""

    def change(self, data: bytes) -> bytes:
        """The first two bytes."""
        return b"\x06\x66" + data[2:]


class OtherCode(ImportReply):
    """Answers an import with a list."""

    def change(self, data: bytes) -> bytes:
        """OP_REP_DEVLIST."""
        return data[:2] + b"\x00\x05" + data[4:]


class UnknownOpStatus(ImportReply):
    """Refuses with a status that there is not."""

    def change(self, data: bytes) -> bytes:
        """0xdead."""
        return data[:4] + (0xDEAD).to_bytes(4, "big")


class HalfImportReply(ImportReply):
    """Sends half an import reply and then nothing."""

    def change(self, data: bytes) -> bytes:
        """160 of 320 bytes."""
        return data[:160]


class SilentImport(ImportReply):
    """Never answers an import."""

    def change(self, data: bytes) -> bytes:
        """Nothing."""
        return b""


class DrippingImport(Session):
    """Sends its import reply at one byte a second."""

    PACE_S = 1.0

    async def granted(self, record: DeviceRecord) -> None:
        """Five minutes of it."""
        for byte in self.connection.send(RepImport(OpStatus.OK, record)):
            self.write(bytes([byte]))
            await self.drain()
            await asyncio.sleep(self.PACE_S)


class CloseAfterImport(Session):
    """Grants the device and closes."""

    async def granted(self, record: DeviceRecord) -> None:
        """In good order."""
        await super().granted(record)
        self.close()


class ListOfMillions(Session):
    """Says that it has 4 thousand million devices."""

    async def listing(self, records: tuple[DeviceRecord, ...]) -> None:
        """Without end."""
        raw = self.connection.send(RepDevlist(OpStatus.OK, records))[12:]
        self.write(OP_COMMON.pack(0x0111, 5, 0) + DEVICE_COUNT.pack(0xFFFF_FFFF))
        while not self._writer.is_closing():
            self.write(raw * 64)
            await self.drain()
            await asyncio.sleep(0)


class ListWithoutEnd(Session):
    """Lists 1,000 devices and sends one."""

    async def listing(self, records: tuple[DeviceRecord, ...]) -> None:
        """Then nothing."""
        data = self.connection.send(RepDevlist(OpStatus.OK, records))
        self.write(data[:8] + DEVICE_COUNT.pack(1000) + data[12:])


class ListOfTheSame(Session):
    """Lists one device a thousand times."""

    async def listing(self, records: tuple[DeviceRecord, ...]) -> None:
        """As many as are believed."""
        self.write(self.connection.send(RepDevlist(OpStatus.OK, records * 1000)))
