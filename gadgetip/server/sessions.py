"""The sessions that run: begun for a client, found running, watched, ended."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterable

from gadgetip.errors import DeviceUnpluggedError, GadgetipError
from gadgetip.server.background import within_limit
from gadgetip.server.exported import Exported
from gadgetip.server.listeners import Peer
from gadgetip.server.narrator import Narrator
from gadgetip.server.stub import Session, Stub
from gadgetip.server.surroundings import Surroundings
from gadgetip.wire import DeviceRecord

END_LIMIT_S = 10.0
UNPLUGGED = "unplugged"
"""The reason of a stub's session whose device is gone."""
ENDING = "serve is ending"


class EndingError(GadgetipError):
    """No session is begun any more."""


class Sessions:
    """Starts and watches; `ended` is awaited before a device is free for the next client."""

    def __init__(
        self,
        stub: Stub,
        surroundings: Surroundings,
        narrator: Narrator,
        ended: Callable[[Exported, str], Awaitable[None]],
    ) -> None:
        self._stub = stub
        self._surroundings = surroundings
        self._narrator = narrator
        self._ended = ended
        self._watches: dict[Exported, asyncio.Task[None]] = {}
        self.ending = False
        """Whether no session begins any more."""

    async def start(
        self,
        entry: Exported,
        client: Peer,
        stream: socket.socket,
        reply: Callable[[DeviceRecord], bytes],
        dead_client_s: float,
    ) -> None:
        """Begin a session of an entry that is reserved; the stream is the stub's afterwards.

        Raises `DeviceUnpluggedError`, `EndingError`, and what `Stub.start` raises; then nothing
        was sent.
        """
        busid, name = entry.device.busid, entry.export.published_as
        # A reset may have given it another configuration since: tell what is true now.
        device = await within_limit(lambda: self._surroundings.find_local(busid), busid)
        if device is None or device.devnum != entry.device.devnum:
            raise DeviceUnpluggedError(f"{busid} was unplugged")
        if self.ending:  # since then
            raise EndingError(ENDING)
        record = reply(device.record(name))
        self._run(entry, await self._stub.start(device, stream, record, dead_client_s))
        self._narrator.tell(
            "import",
            f"{name} is in use by {client}",
            busid=busid,
            published_as=name,
            client=str(client),
        )

    def adopt(self, entry: Exported) -> None:
        """Watch a session that somebody else began, if there is one: a killed serve, usbipd."""
        if entry.in_use or not entry.taken:
            return
        session = self._stub.session_found(entry.device)
        if session is None:
            return
        entry.since = time.time()
        self._run(entry, session)
        self._narrator.tell(
            "import",
            f"{entry.export.published_as} is in use already, by a session that we did not begin",
            busid=entry.device.busid,
            published_as=entry.export.published_as,
            client=None,
        )

    async def end(self, entries: Iterable[Exported]) -> None:
        """Ask the entries' sessions to end, and wait for it, `END_LIMIT_S` at most."""
        self.ask_to_end(entries)
        watches = [self._watches[entry] for entry in entries if entry in self._watches]
        if watches:
            await asyncio.wait(watches, timeout=END_LIMIT_S)

    def ask_to_end(self, entries: Iterable[Exported]) -> None:
        """Only ask: a device's session may end while another's is waited for."""
        for entry in entries:
            if entry.session is not None:
                entry.session.end()

    def close(self) -> None:
        """Watch no more."""
        for watch in list(self._watches.values()):
            watch.cancel()

    def _run(self, entry: Exported, session: Session) -> None:
        entry.session = session
        task = self._watches[entry] = asyncio.create_task(self._watch(entry, session))
        task.add_done_callback(lambda _: self._watches.pop(entry, None))

    async def _watch(self, entry: Exported, session: Session) -> None:
        try:
            reason = await session.wait()
        except (GadgetipError, OSError) as error:
            reason = f"the stub failed: {error}"
        await self._ended(entry, reason)
        client, name = entry.client, entry.export.published_as
        duration = round(time.time() - (entry.since or time.time()))
        by = f" ({client})" if client else ""
        entry.free()
        self._narrator.tell(
            "session ended",
            f"{name} is free again after {duration} s: {reason}{by}",
            busid=entry.device.busid,
            published_as=name,
            client=str(client) if client else None,
            reason=reason,
        )
