"""`gadgetip serve`: one process, one event loop, from its start to its orderly end.

    lock        one serve on a machine: they would take each other's devices
    stub        the kernel's if it can be had, or the one that was asked for
    listen      the sockets of systemd, or those of the policy and the command line
    reconcile   what is exported is brought into line (`exporter`), healing what a crash left
    serve       clients (`connection`), hotplug, SIGHUP, the control socket, the watchdog
    drain       SIGTERM, SIGINT: nobody new, answers are finished, sessions end, devices go back

Whoever was bound by hand stays with usbip-host when serve ends, because that is where `bind` puts
a device for stock usbipd too; what a rule exported goes back to this machine's drivers.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.server.admission import ConnectionLimits, LineLimiter, client_network
from gadgetip.server.connection import Complaints, answer_client
from gadgetip.server.exporter import Exporter
from gadgetip.server.exports import Export
from gadgetip.server.kernel_stub import KernelStub
from gadgetip.server.listeners import (
    Peer,
    accept_forever,
    address_text,
    missing_addresses,
    open_listeners,
    public_addresses,
)
from gadgetip.server.narrator import Narrator
from gadgetip.server.policy import Policy
from gadgetip.server.stub import Stub
from gadgetip.server.surroundings import SOCKET_NAME, Events, Surroundings
from gadgetip.service.control import ControlServer, Request
from gadgetip.service.file_lock import FileLockedError, opened_lock, take_lock
from gadgetip.service.systemd import Notifier, activation_sockets

DRAIN_LIMIT_S = 20.0
ANSWERS_LIMIT_S = 5.0
CONTROL_LIMIT_S = 18.0
FOLLOW_AGAIN_S = 5.0
LOCK_NAME = "serve.lock"

UNPROTECTED = (
    "USB/IP is neither encrypted nor authenticated: whoever reaches {addresses} can read the "
    "traffic and, unless a rule's `clients` forbids it, import the devices"
)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says; it goes before the policy. None: as the policy says."""

    policy_file: Path | None = None
    listen: tuple[str, ...] = ()
    port: int | None = None
    stub: str | None = None

    def over(self, policy: Policy) -> Policy:
        """The policy with the command line's values in it."""
        return replace(
            policy,
            listen=self.listen or policy.listen,
            port=policy.port if self.port is None else self.port,
        )


def make_stub(choice: str) -> Stub:
    """The stub of this name; "auto" is the kernel's where it can be had.

    Raises `PrerequisiteError` that says what is missing.
    """
    reasons = []
    if choice in {"kernel", "auto"}:
        missing = KernelStub.why_unavailable()
        if missing is None:
            return KernelStub()
        reasons.append(missing)
    if choice in {"userspace", "auto"}:
        # libusb is looked for only where it is needed: who has usbip-host may be without it.
        from gadgetip.server.userspace import UserspaceStub  # noqa: PLC0415

        missing = UserspaceStub.why_unavailable()
        if missing is None:
            return UserspaceStub()
        reasons.append(missing)
    raise PrerequisiteError("; and ".join(reasons))


class Daemon:
    """One run of serve."""

    def __init__(
        self,
        options: ServeOptions,
        narrator: Narrator,
        *,
        surroundings: Surroundings | None = None,
        stubs: Callable[[str], Stub] = make_stub,
        notifier: Notifier | None = None,
    ) -> None:
        self._options = options
        self._narrator = narrator
        self._surroundings = surroundings or Surroundings()
        self._make_stub = stubs
        self._notifier = notifier or Notifier()
        self._lines = LineLimiter()
        self._complaints = Complaints(narrator, self._lines)
        self._clients: dict[asyncio.Task[None], Peer] = {}
        self._silent: dict[asyncio.Task[None], Peer] = {}
        """Those of them that have not asked for anything yet, the oldest first."""
        self._settling: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raises `GadgetipError` if it cannot begin."""
        policy = self._read_policy()
        directory = self._surroundings.run_directory
        with _only_one(directory), contextlib.closing(self._stub_for(policy)) as stub:
            self._stub = stub
            listeners = activation_sockets() or open_listeners(policy.listen, policy.port)
            try:
                self._limits = ConnectionLimits(policy.max_new_connections_per_s)
                self._exporter = Exporter(stub, policy, self._surroundings, self._narrator)
                async with (
                    ControlServer(directory / SOCKET_NAME, self._control),
                    self._signals(),
                ):
                    await self._serve(listeners)
            finally:
                for listener in listeners:
                    listener.close()

    def _stub_for(self, policy: Policy) -> Stub:
        return self._make_stub(self._options.stub or policy.stub)

    async def _serve(self, listeners: tuple[socket.socket, ...]) -> None:
        with self._surroundings.hotplug() as hotplug:
            background = [
                asyncio.create_task(work) for work in (self._follow(hotplug), self._watchdog())
            ]
            # What cannot be read now is read again later, which is no reason to end.
            self._exporter.request()
            accepting = [
                asyncio.create_task(accept_forever(listener, self._welcome, self._complain))
                for listener in listeners
            ]
            self._announce(listeners)
            try:
                try:
                    await self._until_stopped(background + accepting)
                finally:
                    # However it ends, devices go back.
                    self._notifier.stopping()
                    for task in accepting:
                        task.cancel()
                    for listener in listeners:
                        listener.close()
                    await self._drain()
            finally:
                for task in background + accepting:
                    task.cancel()
                await asyncio.gather(*background, *accepting, return_exceptions=True)

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for a signal, or for one of the tasks to fail."""
        stopped = asyncio.create_task(_wait(self._stop))
        waiting = {stopped, *tasks}
        while not stopped.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()

    def _announce(self, listeners: tuple[socket.socket, ...]) -> None:
        addresses = [address_text(listener) for listener in listeners]
        self._narrator.tell(
            "listening",
            f"listening on {', '.join(addresses)}, with the {self._stub.name} stub",
            addresses=addresses,
            stub=self._stub.name,
        )
        public = public_addresses(listeners)
        if public:
            self._narrator.warn("note", UNPROTECTED.format(addresses=", ".join(public)))
        missing = missing_addresses(listeners)
        if missing:
            self._narrator.warn(
                "note",
                f"{', '.join(missing)} is no address of this machine yet: `ip address` lists them",
            )
        self._notifier.ready(f"listening on {', '.join(addresses)}")

    # Clients

    def _welcome(self, stream: socket.socket, client: Peer) -> None:
        now = asyncio.get_running_loop().time()
        refusal = self._limits.enter(client.address, now, self._make_room)
        if refusal:
            stream.close()
            self._complain(f"{client} was closed: {refusal}")
            return

        def has_asked() -> None:
            self._silent.pop(task, None)

        task = asyncio.create_task(
            answer_client(stream, client, self._exporter, self._complaints, has_asked)
        )
        self._clients[task] = self._silent[task] = client

        def ended(task: asyncio.Task[None]) -> None:
            self._leave(task)
            if task.cancelled():
                stream.close()  # which a task that had not begun did not do
            if not task.cancelled() and (error := task.exception()) is not None:
                self._narrator.warn("error", f"this is a bug: {type(error).__name__}: {error}")

        task.add_done_callback(ended)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._silent.pop(task, None)
        client = self._clients.pop(task, None)
        if client is not None:
            self._limits.leave(client.address)

    def _make_room(self, network: str) -> bool:
        """Close the oldest connection of this network that has not asked; whether there was one."""
        for task, client in self._silent.items():
            if client_network(client.address) == network:
                task.cancel()
                self._leave(task)
                self._complain(f"{client} was closed: others wait, and it has not asked yet")
                return True
        return False

    def _complain(self, text: str) -> None:
        """One line a second at most: a flood must not fill the log as well."""
        left_out = self._lines.admit("refused", asyncio.get_running_loop().time())
        if left_out is not None:
            more = f" (and {left_out} more)" if left_out else ""
            self._narrator.warn("refused", text + more)

    # What else happens

    async def _follow(self, hotplug: Events) -> None:
        """Whatever is plugged, look again; after a fault, everywhere."""
        while True:
            try:
                async for event in hotplug:
                    self._exporter.request(getattr(event, "busid", None))
            except OSError as error:
                self._narrator.warn("error", f"the kernel's announcements of devices: {error}")
            else:
                return
            await asyncio.sleep(FOLLOW_AGAIN_S)
            self._exporter.request()

    async def _watchdog(self) -> None:
        """Tell systemd that this loop runs, twice as often as it asks for, and how it is."""
        interval = self._notifier.watchdog_s / 2 or 30.0
        while True:
            self._notifier.alive()
            exported, in_use = self._exporter.counts
            self._notifier.status(f"{exported} devices exported, {in_use} in use")
            await asyncio.sleep(interval)

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            self._follow_policy(self._read_policy())
        except GadgetipError as error:
            self._narrator.warn("error", f"nothing is changed: {error}")
        else:
            self._narrator.tell("reloaded", "the policy was read again")
            self._exporter.request()
        self._notifier.ready("reloaded")

    def _read_policy(self) -> Policy:
        return self._options.over(self._surroundings.load_policy(self._options.policy_file))

    def _follow_policy(self, policy: Policy) -> None:
        """Take this policy, and the marks as they are now; on `GadgetipError` the old ones hold."""
        old = self._exporter.policy
        self._exporter.reload(policy)
        self._limits.per_second = policy.max_new_connections_per_s
        if (policy.listen, policy.port, policy.stub) != (old.listen, old.port, old.stub):
            self._narrator.warn("note", "listen, port and stub take effect at the next start")

    async def _control(self, request: Request) -> dict[str, object]:
        command = request["command"]
        if command == "reconcile":
            # The marks count also when the policy is broken: `unbind` must have its way.
            policy, fault = self._exporter.policy, None
            try:
                policy = self._read_policy()
            except GadgetipError as error:
                fault = str(error)
                self._narrator.warn("error", f"the old policy holds: {fault}")
            self._follow_policy(policy)
            await self._settle_all()
            return {"exports": self._exporter.state(), "policy_fault": fault}
        if command == "state":
            return {
                "pid": os.getpid(),
                "stub": self._stub.name,
                "exports": self._exporter.state(),
                "notes": list(self._exporter.notes),
            }
        raise GadgetipError(f"serve knows no command {command!a}")

    async def _settle_all(self) -> None:
        """Wait until everything is settled; after the limit it goes on, and we do not wait."""
        settling = asyncio.create_task(self._exporter.reconcile())
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        settling.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait({settling}, timeout=CONTROL_LIMIT_S)
        if not done:
            raise GadgetipError(
                f"not everything is settled after {CONTROL_LIMIT_S:.0f} s: `gadgetip list` "
                "says what is exported"
            )
        settling.result()

    # The end

    async def _drain(self) -> None:
        """End in order, in at most `DRAIN_LIMIT_S`; a second signal ends at once."""
        drain = asyncio.create_task(self._drain_in_order())
        now = asyncio.create_task(_wait(self._stop_now))
        await asyncio.wait({drain, now}, timeout=DRAIN_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            why = "a second signal came" if now.done() else f"{DRAIN_LIMIT_S:.0f} s have passed"
            self._narrator.warn(
                "error", f"{why}; what is left with the stub is healed at the next start"
            )
        for task in (drain, now, *self._clients):
            task.cancel()
        await asyncio.gather(drain, now, return_exceptions=True)

    async def _drain_in_order(self) -> None:
        if self._clients:
            await asyncio.wait(set(self._clients), timeout=ANSWERS_LIMIT_S)
        await self._exporter.drain(self._is_kept)

    def _is_kept(self, export: Export) -> bool:
        return export.by == "bound" and self._stub.name == "kernel"

    @asynccontextmanager
    async def _signals(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if self._stop.is_set():
                self._stop_now.set()
            self._stop.set()

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: self._reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the lock of serve; raises `PrerequisiteError` that names whoever has it."""
    path = directory / LOCK_NAME
    with ExitStack() as held:
        try:
            file = held.enter_context(opened_lock(path))
        except OSError as error:
            raise PrerequisiteError(
                f"cannot write {path}: {error.strerror}; run serve as root"
            ) from None
        try:
            take_lock(file)
        except FileLockedError as error:
            raise PrerequisiteError(
                f"another gadgetip serve runs on this machine (process {error.holder or '?'}): "
                "stop that one first"
            ) from None
        yield
