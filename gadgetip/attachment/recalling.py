"""Importing the very same device again, after the link to it was lost.

Nothing on the wire says "this is the device that you had". Its bus id alone would not do: another
device may be in that port by now. So a device is the same when the server gives it under the same
bus id, with the same address on the same bus, which a device gets anew whenever it is plugged in,
and when it describes itself in the same words and has the same serial number. A device that was
unplugged meanwhile is another one even when it is not: it has lost what its host knew of it.

A server that has just been started may not export the device yet, so "I have no such device" is
believed when it has been the answer for a while.

The host waits meanwhile, and has no patience for the pauses that suit a device that is merely
awaited, of which its profile may speak too. So a pause is never longer than `PAUSES_S` allows, or
the shortest that the profile wants, nor does one run past the end of the time that there is.
"""

import asyncio
from collections.abc import Callable

from gadgetip.attachment.backoff import Backoff
from gadgetip.errors import (
    DeviceUnpluggedError,
    GadgetipError,
    LinkLostError,
    PrerequisiteError,
    RefusedError,
    UsageError,
)
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceSelector, Wanted
from gadgetip.remote import (
    FoundDevice,
    ImportedDevice,
    NotExportedError,
    find_and_import,
    remember_import,
)
from gadgetip.usb import DeviceTree

GONE_AFTER_S = 3.0
PAUSES_S = (0.2, 2.0)

_PERMANENT = (UsageError, PrerequisiteError, RefusedError)


class Recall:
    """Imports one device again, as often as it is lost; `imported` is the last import of it."""

    def __init__(
        self,
        address: HostAddress,
        selector: Wanted,
        found: FoundDevice,
        limit_s: float,
        *,
        pauses_s: tuple[float, float] = PAUSES_S,
        on_waiting: Callable[[GadgetipError, float], None],
    ) -> None:
        self.limit_s = limit_s
        self.imported: ImportedDevice = found.imported
        self._address = address
        self._selector = selector
        self._tree = found.tree
        shortest, longest = pauses_s
        self._pauses_s = shortest, min(longest, max(shortest, PAUSES_S[1]))
        self._on_waiting = on_waiting

    async def again(self, deadline: float) -> ImportedDevice:
        """Import it before `deadline`, a time of the running loop.

        Raises `DeviceUnpluggedError` when it is gone or another one, `LinkLostError` when it is too
        late, and errors that no waiting mends.
        """
        self.imported.close()
        try:
            async with asyncio.timeout_at(deadline) as limit:
                found = await self._find(deadline)
        except TimeoutError:
            if not limit.expired():
                raise
            raise LinkLostError(
                f"{self._address} did not give the device back within {self.limit_s:g} s"
            ) from None
        if problem := self._difference(found):
            found.imported.close()
            raise DeviceUnpluggedError(f"{problem} while the link to {self._address} was lost")
        self.imported = found.imported
        remember_import(found.imported.stream, found.imported.record, self._address, self._selector)
        return found.imported

    async def _find(self, deadline: float) -> FoundDevice:
        loop = asyncio.get_running_loop()
        backoff = Backoff(*self._pauses_s)
        busid = self.imported.record.busid
        gone_since: float | None = None
        while True:
            try:
                return await find_and_import(self._address, DeviceSelector("busid", busid))
            except _PERMANENT:
                raise
            except (NotExportedError, DeviceUnpluggedError) as error:
                gone_since = gone_since or loop.time()
                if loop.time() - gone_since >= GONE_AFTER_S:
                    raise DeviceUnpluggedError(
                        f"the device {busid} was unplugged at {self._address}"
                    ) from None
                backoff.reset()
                reason: GadgetipError = error
            except GadgetipError as error:
                gone_since = None
                reason = error
            pause_s = min(backoff.pause(), max((deadline - loop.time()) / 2, PAUSES_S[0]))
            self._on_waiting(reason, pause_s)
            await asyncio.sleep(pause_s)

    def _difference(self, found: FoundDevice) -> str | None:
        before, now = self.imported.record, found.imported.record
        if (now.busnum, now.devnum) != (before.busnum, before.devnum):
            return f"the device {before.busid} was plugged in anew"
        if not _is_same(self._tree, found.tree):
            return f"another device took the place of {before.busid}"
        return None


def _is_same(before: DeviceTree, now: DeviceTree) -> bool:
    index = before.device.iSerialNumber
    return (
        before.device == now.device
        and before.configurations == now.configurations
        and before.strings.get(index) == now.strings.get(index)
    )
