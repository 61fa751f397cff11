"""Servers that break USB/IP where URBs are answered.

A subclass with `data_only` behaves on endpoint 0, so that a device can be read and configured.
"""

import asyncio
import errno
from typing import ClassVar

from gadgetip.wire import (
    CmdSubmit,
    CmdUnlink,
    Command,
    DeviceRecord,
    Direction,
    RetSubmit,
    RetUnlink,
)
from gadgetip.wire.layout import RET_SUBMIT, RET_UNLINK
from tests.emulated.session import Session

FLOOD_HEADERS = 512
NOBODY = 0x7777_0000
"""A sequence number that no client comes to within a test."""


def header(
    seqnum: int,
    *,
    status: int = 0,
    actual_length: int = 0,
    number_of_packets: int = 0,
    command: int = Command.RET_SUBMIT,
) -> bytes:
    """The 48 bytes of a RET_SUBMIT that says anything."""
    return RET_SUBMIT.pack(command, seqnum, 0, 0, 0, status, actual_length, 0, number_of_packets, 0)


class Misbehaving(Session):
    """Misbehaves at each answer for which `applies`; a subclass says how."""

    data_only: ClassVar[bool] = False

    def applies(self, submit: CmdSubmit) -> bool:
        """Whether this is where it misbehaves."""
        return submit.ep != 0 or not self.data_only

    def returned(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """A URB is done."""
        if self.applies(submit):
            self.misbehave(submit, ret)
        else:
            super().returned(submit, ret)

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Answer, or what one may call so."""
        raise NotImplementedError

    def raw(self, ret: RetSubmit) -> bytes:
        """The bytes of the true answer."""
        return self.connection.send(ret)


class WrongSeqnum(Misbehaving):
    """Answers with a sequence number that nobody used."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """The data is there."""
        data = self.raw(ret)
        self.write(data[:4] + NOBODY.to_bytes(4, "big") + data[8:])


class Duplicate(Misbehaving):
    """Answers everything twice."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """In one piece."""
        self.write(self.raw(ret) * 2)


class TooLong(Misbehaving):
    """Gives more than was asked for."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """One byte more, and an actual_length that says so."""
        length = submit.transfer_buffer_length + 1
        data = bytes(length) if submit.direction is Direction.IN else b""
        self.write(header(ret.seqnum, actual_length=length) + data)


class Huge(Misbehaving):
    """Says that 2 GiB follow."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """They do not."""
        self.write(header(ret.seqnum, actual_length=0x7FFF_FFFF))


class Negative(Misbehaving):
    """Says that less than nothing follows."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """actual_length -1."""
        self.write(header(ret.seqnum, actual_length=-1))


class Packets(Misbehaving):
    """Answers with a million isochronous packets that nobody asked for."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """16 MB of packet descriptors would follow."""
        self.write(header(ret.seqnum, number_of_packets=1_000_000))


class UnknownCommand(Misbehaving):
    """Answers with a command that there is not."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """0x666."""
        self.write(header(ret.seqnum, command=0x666))


class ClientsCommand(Misbehaving):
    """Answers with a CMD_SUBMIT of its own."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """As if the client were the server."""
        self.write(header(ret.seqnum, command=Command.CMD_SUBMIT))


class DataForOut(Misbehaving):
    """Sends data behind the answer to an OUT transfer."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """64 bytes, which are then taken for a header."""
        tail = bytes(64) if submit.direction is Direction.OUT else b""
        self.write(self.raw(ret) + tail)


class RetUnlinkForNothing(Misbehaving):
    """Answers a CMD_UNLINK that nobody sent."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Instead of the answer."""
        self.write(RET_UNLINK.pack(Command.RET_UNLINK, NOBODY, 0, 0, 0, -errno.ECONNRESET))


class HalfHeader(Misbehaving):
    """Sends half a header and then nothing."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Once; what comes later is swallowed."""
        if not getattr(self, "_said", False):
            self.write(self.raw(ret)[:24])
        self._said = True

    async def unlinking(self, unlink: CmdUnlink) -> None:
        """Nothing."""
        if not getattr(self, "_said", False):
            await super().unlinking(unlink)


class CloseInsideHeader(Misbehaving):
    """Sends half a header and closes."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """In good order."""
        self.write(self.raw(ret)[:24])
        self.close()


class Crash(Misbehaving):
    """Resets the connection instead of answering."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """RST."""
        self.reset()


class Status(Misbehaving):
    """Answers everything with one status."""

    status: ClassVar[int]

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Without data."""
        self.write(header(ret.seqnum, status=self.status))


class Eshutdown(Status):
    """Says ESHUTDOWN to everything, as for a device that has left."""

    status = -errno.ESHUTDOWN


class Eoverflow(Status):
    """Says EOVERFLOW to everything."""

    status = -errno.EOVERFLOW


class Eproto(Status):
    """Says EPROTO to everything."""

    status = -errno.EPROTO


class PositiveStatus(Status):
    """Answers with a status that is no error number."""

    status = 0x7FFF_FFFF


class UnknownStatus(Status):
    """Answers with an error number that there is not."""

    status = -0x8000_0000


class ShortOut(Misbehaving):
    """Says that it took less than it was given, and no error."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """OUT only."""
        is_in = submit.direction is Direction.IN
        self.write(self.raw(ret if is_in else ret._replace(actual_length=ret.actual_length // 2)))


class UnlinkUnanswered(Misbehaving):
    """Answers neither URBs nor their unlinks."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Nothing."""

    async def unlinking(self, unlink: CmdUnlink) -> None:
        """Nothing."""


class UnlinkTwice(Misbehaving):
    """Answers no URB, and every unlink twice."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Nothing."""

    async def unlinking(self, unlink: CmdUnlink) -> None:
        """And once more."""
        self.write(self.connection.send(RetUnlink(unlink.seqnum, -errno.ECONNRESET)) * 2)


class Drip(Misbehaving):
    """Sends its answers at one byte a second."""

    PACE_S = 1.0

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Behind what has not left yet."""
        self._drip(self.raw(ret))

    async def unlinking(self, unlink: CmdUnlink) -> None:
        """In its turn as well."""
        self._drip(self.connection.send(RetUnlink(unlink.seqnum, 0)))

    def _drip(self, data: bytes) -> None:
        self._dripping = getattr(self, "_dripping", 0) + len(data)
        first = self._dripping - len(data)
        for at, byte in enumerate(data, first):
            asyncio.get_running_loop().call_later(self.PACE_S * at, self.write, bytes([byte]))


class Flood(Misbehaving):
    """Sends RET_SUBMITs that nobody asked for, without end."""

    def misbehave(self, submit: CmdSubmit, ret: RetSubmit) -> None:
        """Begin."""
        self.spawn(self._flood())

    async def _flood(self) -> None:
        piece = b"".join(header(NOBODY + each) for each in range(FLOOD_HEADERS))
        try:
            while not self._writer.is_closing():
                self.write(piece)
                await self.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            return


class FloodAfterImport(Flood):
    """Floods before anything was asked."""

    async def granted(self, record: DeviceRecord) -> None:
        """And then no end."""
        await super().granted(record)
        self.spawn(self._flood())
