"""What is exported, brought into line with what should be, again and again.

Nothing here reacts to *what* happened. A device came or went, the policy or the bindings changed, a
stub failed, a session ended: each time the inventory is read and `exports.decide` says what should
be exported, and whatever differs is settled, device by device. So an event that is lost, told twice
or told late does no harm, and a start after a crash is the same as any other moment.

Devices are settled side by side, because taking one away from its driver may take seconds; for one
device, one step at a time. A failure concerns its device alone, and is tried again, later and
later.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine

from gadgetip.errors import DeviceUnpluggedError, GadgetipError
from gadgetip.server import usbip_host
from gadgetip.server.admission import session_refusal
from gadgetip.server.background import within_limit
from gadgetip.server.exported import Exported
from gadgetip.server.exports import Decision, Export, decide
from gadgetip.server.listeners import Peer
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.lookout import Lookout
from gadgetip.server.narrator import Narrator, describe
from gadgetip.server.policy import Policy
from gadgetip.server.sessions import ENDING, UNPLUGGED, EndingError, Sessions
from gadgetip.server.stub import DeviceFaultError, DeviceInUseError, Stub
from gadgetip.server.surroundings import Surroundings
from gadgetip.server.taken import Custody
from gadgetip.wire import DeviceRecord, OpStatus

RETRY_MIN_S = 1.0
RETRY_MAX_S = 60.0
MAX_DOUBLINGS = 6
LOOK_AGAIN_S = 5.0


class Exporter:
    """Takes devices and gives them back, and knows who uses which."""

    def __init__(
        self, stub: Stub, policy: Policy, surroundings: Surroundings, narrator: Narrator
    ) -> None:
        self.policy = policy
        self.notes: tuple[str, ...] = ()
        self._stub = stub
        self._reasons_to_keep = surroundings.reasons_to_keep
        self._narrator = narrator
        self._load_bindings = surroundings.load_bindings
        self._bindings = surroundings.load_bindings()
        self._entries: dict[str, Exported] = {}
        self._wanted: dict[str, Export] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._deciding = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions = Sessions(stub, surroundings, narrator, self._session_ended)
        self._retry: asyncio.TimerHandle | None = None
        self._withheld: dict[str, str] = {}
        self._lookout = Lookout(surroundings)
        self._requested = False
        self._plugged: set[str] = set()
        """Where something happened: what failed there is tried at once."""
        self._try_all = True
        self._draining = asyncio.Event()
        self._custody = Custody(stub, surroundings.run_directory / "taken.json")

    # What is exported

    def reload(self, policy: Policy) -> None:
        """Follow another policy, and what is bound now; raises `GadgetipError`, changes nothing."""
        self._bindings = self._load_bindings()
        self.policy = policy

    async def reconcile(self) -> None:
        """Bring everything into line; returns when all of it is settled, or has failed."""
        self._lookout.everywhere = self._try_all = True
        try:
            tasks = await self._begin()
        except GadgetipError:
            self._try_again(LOOK_AGAIN_S)
            raise
        if tasks:
            await asyncio.wait(tasks)

    def request(self, busid: str | None = None) -> None:
        """Bring everything into line soon, without waiting for it.

        `busid` is where something was plugged; None is anywhere, which takes longer to look at.
        """
        if busid is None:
            self._lookout.everywhere = self._try_all = True
        else:
            self._lookout.pending.add(busid)
            self._plugged.add(busid)
        self._request_look()

    def _request_look(self) -> None:
        if not self._draining.is_set() and not self._requested:
            self._requested = True
            self._spawn(self._reconcile_quietly())

    async def _reconcile_quietly(self) -> None:
        try:
            await self._begin()
        except GadgetipError as error:
            self._narrator.warn("error", str(error))
            self._try_again(LOOK_AGAIN_S)

    async def _begin(self) -> list[asyncio.Task[None]]:
        async with self._deciding:
            if self._draining.is_set():
                return []
            self._requested = False
            if await self._lookout.look({*self._entries, *self._custody.busids}):
                self._try_again(RETRY_MIN_S)
            present = self._lookout.devices
            decision = decide(tuple(present.values()), self.policy, self._bindings)
            wanted = await self._without_those_to_keep(decision)
            self._tell_notes(decision)
            self._wanted = wanted
            self._custody.forget_the_unplugged(present)
            busids = sorted({*wanted, *self._entries, *self._custody.busids})
            at_once = set(busids) if self._try_all else self._plugged
            self._try_all, self._plugged = False, set()
            return [self._spawn(self._settle(b, present.get(b), b in at_once)) for b in busids]

    async def _without_those_to_keep(self, decision: Decision) -> dict[str, Export]:
        """The exports by bus id, less those whose device this machine needs itself."""
        wanted = {export.device.busid: export for export in decision.exports}
        asked = tuple(
            export.device
            for export in wanted.values()
            if not export.forced and not self._is_ours(export.device)
        )
        reasons: dict[str, str] = {}
        if asked:
            reasons = await within_limit(lambda: self._reasons_to_keep(asked), "the list of mounts")
        for busid, reason in reasons.items():
            if self._withheld.get(busid) != reason:
                device = wanted[busid].device
                self._narrator.warn(
                    "refused", f"{describe(device)} is not exported: {reason}", busid=busid
                )
            del wanted[busid]
        self._withheld = reasons
        if reasons:
            self._try_again(RETRY_MAX_S)
        return wanted

    def _is_ours(self, device: LocalDevice) -> bool:
        """Whether the device has been taken from this machine's drivers already."""
        entry = self._entries.get(device.busid)
        taken = entry is not None and entry.taken and entry.device.devnum == device.devnum
        return taken or device.driver == usbip_host.NAME

    def _tell_notes(self, decision: Decision) -> None:
        for note in decision.notes:
            if note not in self.notes:
                self._narrator.warn("note", note)
        self.notes = decision.notes

    async def _settle(self, busid: str, device: LocalDevice | None, at_once: bool) -> None:
        """Bring one device into line with what is wanted of it now.

        One that could not be taken waits for its next attempt, unless that is due `at_once`.
        """
        async with self._locks.setdefault(busid, asyncio.Lock()):
            if self._draining.is_set():
                return  # waited behind the drain, which has given the device back
            wanted = self._wanted.get(busid)
            entry = self._entries.get(busid)
            if entry and (wanted is None or wanted.device.devnum != entry.device.devnum):
                # What is wanted may have been looked at later than `device`.
                gone = wanted is not None or _is_other(device, entry.device)
                await self._withdraw(entry, UNPLUGGED if gone else "no longer wanted")
                entry = None
                if self._draining.is_set():
                    return
            if wanted is None:
                if busid in self._custody.busids and device is not None:
                    await self._give_back(device)
                return
            if entry is None:
                entry = self._entries[busid] = Exported(wanted)
            elif entry.export.published_as != wanted.published_as:
                self._tell_exported(wanted)
            entry.export = wanted
            if entry.client is not None and not wanted.admits(entry.client.ip):
                self._narrator.warn(
                    "note", f"{wanted.published_as}: {entry.client} may not have it any more"
                )
                await self._sessions.end([entry])
            # Somebody else's `usbip unbind` may have undone it; taking what is taken is harmless.
            undone = self._stub.name == "kernel" and wanted.device.driver != usbip_host.NAME
            if (not entry.taken or undone) and not entry.in_use:
                wait_s = entry.next_attempt - asyncio.get_running_loop().time()
                if wait_s > 0 and not at_once:
                    self._try_again(wait_s)
                else:
                    await self._take(entry)

    async def _take(self, entry: Exported) -> None:
        if self._draining.is_set():
            return
        device = entry.device
        try:
            await self._custody.take(device)
        except GadgetipError as error:
            if entry.fault != str(error):
                self._narrator.warn(
                    "error", f"{entry.export.published_as}: {error}", busid=device.busid
                )
            entry.fault = str(error)
            entry.failures += 1
            delay_s = min(RETRY_MIN_S * 2 ** min(entry.failures, MAX_DOUBLINGS), RETRY_MAX_S)
            entry.next_attempt = asyncio.get_running_loop().time() + delay_s
            self._try_again(delay_s)
            return
        if not entry.taken:
            self._tell_exported(entry.export)
        entry.taken, entry.fault, entry.failures, entry.next_attempt = True, "", 0, 0.0
        self._sessions.adopt(entry)

    def _tell_exported(self, export: Export) -> None:
        self._narrator.tell(
            "exported",
            f"{describe(export.device)} is exported as {export.published_as}",
            busid=export.device.busid,
            published_as=export.published_as,
            rule=export.name,
            by=export.by,
            id=export.device.id,
        )

    async def _withdraw(self, entry: Exported, why: str) -> None:
        """Take an entry out of the list, end its session, and give its device back."""
        busid = entry.device.busid
        del self._entries[busid]
        ending = "; its session is ended" if entry.session and why != UNPLUGGED else ""
        self._narrator.tell(
            "withdrawn",
            f"{entry.export.published_as} is not exported any more: {why}{ending}",
            busid=busid,
            published_as=entry.export.published_as,
            reason=why,
        )
        if why == UNPLUGGED:
            # Its session ends by itself, and the next device in this port need not wait for that.
            return
        await self._sessions.end([entry])
        await self._give_back(entry.device)

    async def _give_back(self, device: LocalDevice) -> None:
        try:
            await self._custody.give_back(device)
        except GadgetipError as error:
            self._narrator.warn("error", str(error), busid=device.busid)
            self._try_again(RETRY_MAX_S)

    # Clients

    def listing(self, client: Peer) -> tuple[DeviceRecord, ...]:
        """What this client may import now: a device in use, or denied to it, is not in the list."""
        for entry in self._entries.values():
            self._sessions.adopt(entry)
        return tuple(
            entry.device.record(entry.export.published_as)
            for entry in self._entries.values()
            if entry.taken and not entry.in_use and entry.export.admits(client.ip)
        )

    async def open_session(
        self,
        published_as: str,
        client: Peer,
        stream: socket.socket,
        reply: Callable[[DeviceRecord], bytes],
    ) -> tuple[OpStatus, str]:
        """Begin a session if this client may have the device; the status to answer, and why.

        With `OpStatus.OK` the stream belongs to the stub, and the reply has been sent. What is not
        exported and what is denied to this client get the same answer: it learns of neither.
        """
        entry = next(
            (e for e in self._entries.values() if e.export.published_as == published_as), None
        )
        if entry is None:
            return OpStatus.NODEV, "there is no such export"
        self._sessions.adopt(entry)
        refusal = self._refusal(entry, client)
        if refusal is not None:
            return refusal
        entry.reserve(client)
        try:
            async with self._lock_of(entry):
                await self._sessions.start(entry, client, stream, reply, self.policy.dead_client_s)
        except (EndingError, DeviceInUseError) as error:
            return OpStatus.NA if self._draining.is_set() else OpStatus.DEV_BUSY, str(error)
        except DeviceUnpluggedError as error:
            self.request()
            return OpStatus.NODEV, str(error)
        except DeviceFaultError as error:
            entry.taken = False
            self.request()
            return OpStatus.DEV_ERR, str(error)
        finally:
            if entry.session is None:
                entry.free()
        return OpStatus.OK, ""

    def _refusal(self, entry: Exported, client: Peer) -> tuple[OpStatus, str] | None:
        """Why this client may not have this device now, and what to answer; None: it may."""
        if not entry.export.admits(client.ip):
            return OpStatus.NODEV, "this client may not have it"
        if self._draining.is_set():
            return OpStatus.NA, ENDING
        if entry.in_use:
            return OpStatus.DEV_BUSY, "it is in use"
        if entry.fault:
            return OpStatus.DEV_ERR, entry.fault
        if not entry.taken or self._lock_of(entry).locked():
            return OpStatus.DEV_BUSY, "it is being made ready"
        too_many = session_refusal(
            [e.client.address for e in self._entries.values() if e.client],
            client.address,
            max_sessions=self.policy.max_sessions,
            max_sessions_per_client=self.policy.max_sessions_per_client,
        )
        return (OpStatus.NA, too_many) if too_many else None

    async def _session_ended(self, entry: Exported, reason: str) -> None:
        """Heal the stub before the next client: taking what is taken changes nothing else."""
        if self._entries.get(entry.device.busid) is not entry or self._draining.is_set():
            return
        if reason == UNPLUGGED:
            return
        lock = self._lock_of(entry)
        if lock.locked():
            # It is being settled, perhaps withdrawn, and whoever does that waits for this session.
            entry.taken = False
            self.request()
            return
        async with lock:
            try:
                await self._custody.take(entry.device)
            except GadgetipError as error:
                entry.taken = False
                entry.fault = str(error)
                self._narrator.warn("error", f"{entry.export.published_as}: {error}")
                self._try_again(RETRY_MIN_S)

    # The end, and what holds it together

    async def drain(self, is_kept: Callable[[Export], bool]) -> None:
        """End all sessions, give devices back but those that `is_kept` names; then nothing more.

        For each device, behind the step that is under way there: it is withdrawn to its end, or
        what it takes is given back. No device waits for another one's.
        """
        self._draining.set()
        self._sessions.ending = True
        if self._retry is not None:
            self._retry.cancel()
        self._sessions.ask_to_end(self._entries.values())
        busids = {*self._entries, *self._locks}
        await asyncio.gather(*(self._leave(busid, is_kept) for busid in busids))
        self._sessions.close()
        for task in list(self._tasks):
            task.cancel()
        self._custody.forget(self._entries)

    async def _leave(self, busid: str, is_kept: Callable[[Export], bool]) -> None:
        async with self._locks.setdefault(busid, asyncio.Lock()):
            entry = self._entries.get(busid)
            if entry is None:
                return
            await self._sessions.end([entry])
            if not is_kept(entry.export):
                del self._entries[busid]
                await self._give_back(entry.device)

    def state(self) -> list[dict[str, object]]:
        """Every export, for the control socket."""
        return [entry.state() for entry in self._entries.values()]

    @property
    def counts(self) -> tuple[int, int]:
        """How many devices are exported, and how many of them are in use."""
        entries = self._entries.values()
        return sum(e.taken for e in entries), sum(e.in_use for e in entries)

    def _lock_of(self, entry: Exported) -> asyncio.Lock:
        return self._locks.setdefault(entry.device.busid, asyncio.Lock())

    def _try_again(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._draining.is_set():
            return
        if self._retry is not None and not self._retry.cancelled():
            if loop.time() < self._retry.when() <= loop.time() + delay_s:
                return
            self._retry.cancel()
        self._retry = loop.call_later(delay_s, self._request_again)

    def _request_again(self) -> None:
        """Look once more at what is exported, or should be, or could not be read."""
        self._lookout.pending |= {*self._wanted, *self._withheld, *self._custody.busids}
        self._request_look()

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._narrator.warn("error", f"this is a bug: {type(error).__name__}: {error}")


def _is_other(device: LocalDevice | None, known: LocalDevice) -> bool:
    return device is None or device.devnum != known.devnum
