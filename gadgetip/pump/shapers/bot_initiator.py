"""Commands of our own to a bulk-only disk: what brings it back to where the host left it.

After a lost link the device has been reset. Before the host goes on, each unit that it has used is
asked whether it is ready, which also takes the UNIT ATTENTION that every reset causes; the host
must not see that, for it would think that it had reset the disk itself. Then it is asked who it is.
A unit that is another one than the host was told of, or has another medium, ends the replica: a
host that wrote on would write its old cache over somebody else's disk.
"""

import asyncio

from gadgetip.errors import LinkLostError
from gadgetip.pump.remote_endpoint import OnOutcome, Outcome
from gadgetip.pump.shapers import scsi
from gadgetip.pump.shapers.base import DeviceChangedError, Side
from gadgetip.pump.shapers.bot_memory import BotMemory, UnitMemory
from gadgetip.pump.shapers.bot_wrappers import (
    CSW_LENGTH,
    CommandBlockWrapper,
    read_status,
    round_up,
)
from gadgetip.wire import RetSubmit

COMMAND_LIMIT_S = 10.0
READY_LIMIT_S = 15.0
READY_PAUSE_S = 0.1
PASSED = 0
_FIRST_TAG = 0x67697000


class BotInitiator:
    """Carries out one command at a time on the endpoints of a shaper that is held."""

    def __init__(self, out: Side, in_: Side) -> None:
        self._out = out
        self._in = in_
        self._tag = _FIRST_TAG

    async def restore(self, memory: BotMemory) -> None:
        """Bring every unit of `memory` back. Raises `DeviceChangedError`, `LinkLostError`."""
        for number, unit in memory.units.items():
            await self._until_ready(number, has_medium=unit.capacity is not None)
            await self._compare(number, unit)
            if unit.is_removal_prevented:
                await self._command(number, scsi.prevent_removal())

    async def _until_ready(self, unit: int, *, has_medium: bool) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_LIMIT_S
        while loop.time() < deadline:
            status, _ = await self._command(unit, scsi.test_unit_ready())
            if status == PASSED:
                return
            _, data = await self._command(unit, scsi.request_sense(), scsi.SENSE_BYTES)
            sense = scsi.Sense.read(data)
            if sense.key == scsi.UNIT_ATTENTION:
                if sense.code == scsi.MEDIUM_MAY_HAVE_CHANGED:
                    raise DeviceChangedError(f"unit {unit} says that its medium may have changed")
            elif sense.key == scsi.NOT_READY and (sense.code, sense.qualifier) == (
                scsi.BECOMING_READY
            ):
                await asyncio.sleep(READY_PAUSE_S)
            elif not has_medium:
                return
            elif sense.is_without_medium:
                raise DeviceChangedError(f"unit {unit} has no medium any more")
            else:
                await asyncio.sleep(READY_PAUSE_S)
        raise DeviceChangedError(f"unit {unit} was not ready after {READY_LIMIT_S:.0f} s")

    async def _compare(self, number: int, unit: UnitMemory) -> None:
        if unit.identity is not None:
            _, data = await self._command(number, scsi.inquiry(), scsi.INQUIRY_BYTES)
            self._same(number, "identity", data[: len(unit.identity)], unit.identity)
        if unit.serial is not None:
            _, data = await self._command(number, scsi.inquire_serial(), scsi.SERIAL_BYTES)
            self._same(number, "serial number", data[: len(unit.serial)], unit.serial)
        if unit.capacity is not None:
            _, data = await self._command(number, scsi.read_capacity(), scsi.CAPACITY_BYTES)
            now = scsi.capacity_of(data, is_16=False)
            self._same(number, "capacity", now, unit.capacity)

    @staticmethod
    def _same(number: int, what: str, now: object, before: object) -> None:
        if now != before:
            raise DeviceChangedError(f"unit {number} has another {what} than before")

    async def _command(self, unit: int, block: bytes, length: int = 0) -> tuple[int, bytes]:
        """The status of one command, and its data; whatever the device breaks is another device."""
        try:
            async with asyncio.timeout(COMMAND_LIMIT_S):
                return await self._carry_out(unit, block, length)
        except TimeoutError:
            await self._in.remote.unlink_all()
            await self._out.remote.unlink_all()
            raise DeviceChangedError(
                f"unit {unit} did not answer a command within {COMMAND_LIMIT_S:.0f} s"
            ) from None

    async def _carry_out(self, unit: int, block: bytes, length: int) -> tuple[int, bytes]:
        self._tag += 1
        command = CommandBlockWrapper(self._tag, length, length > 0, unit, block)
        outcome, _ = await self._send(command.pack())
        if outcome is not Outcome.DONE:
            raise DeviceChangedError(f"unit {unit} refuses a command")
        data = b""
        if length:
            outcome, ret = await self._receive(length)
            data = bytes(ret.data)
            if outcome is Outcome.STALLED:
                await self._in.remote.clear_halt()
            elif (status := read_status(data, self._tag)) is not None:
                return status, b""
        for _ in range(2):
            outcome, ret = await self._receive(CSW_LENGTH)
            status = read_status(ret.data, self._tag)
            if outcome is Outcome.DONE and status is not None:
                return status, data[:length]
            if outcome is Outcome.STALLED:  # once is allowed (BOT 1.0, figure 2)
                await self._in.remote.clear_halt()
        raise DeviceChangedError(f"unit {unit} gave no status for a command")

    async def _send(self, data: bytes) -> tuple[Outcome, RetSubmit]:
        answer = asyncio.get_running_loop().create_future()
        self._out.remote.submit_out(data, _settle(answer))
        return await _known(answer)

    async def _receive(self, length: int) -> tuple[Outcome, RetSubmit]:
        packet = self._in.route.device_max_packet
        answer = asyncio.get_running_loop().create_future()
        self._in.remote.submit_in(round_up(length, packet), _settle(answer))
        return await _known(answer)


_Answer = asyncio.Future[tuple[Outcome, RetSubmit]]


def _settle(answer: _Answer) -> OnOutcome:
    def settled(outcome: Outcome, ret: RetSubmit) -> None:
        if not answer.done():
            answer.set_result((outcome, ret))

    return settled


async def _known(answer: _Answer) -> tuple[Outcome, RetSubmit]:
    outcome, ret = await answer
    if outcome is Outcome.CANCELLED:
        raise LinkLostError("the link was lost again")
    if outcome is Outcome.GONE:
        raise DeviceChangedError("the device left its port")
    return outcome, ret
