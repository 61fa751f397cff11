"""A stub, a machine and a listener by script: our own interfaces, so that no kernel is needed."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from gadgetip.server.bindings import Bindings
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.narrator import Narrator
from gadgetip.server.policy import Policy, parse_policy
from gadgetip.server.stub import Session, Stub
from gadgetip.server.surroundings import Surroundings
from tests.unit.server.local_devices import stick


def device(busid: str = "1-1", devnum: int = 2, **changes: Any) -> LocalDevice:
    """A stick; each port's has its own serial number."""
    return stick(busid, f"SERIAL-{busid}", devnum=devnum, **changes)


def policy(text: str = "") -> Policy:
    """A policy from its TOML without the schema line."""
    return parse_policy('schema = "policy/1"\n' + text, "policy.toml")


STICK = '[[export]]\nname = "stick"\npublish_as = "stick"\nmatch = {id = "0781:5581"}\n'


class ScriptedSession(Session):
    """Runs until somebody says otherwise."""

    def __init__(self, stream: socket.socket | None) -> None:
        self.stream = stream
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked_to_end = False

    async def wait(self) -> str:
        return await asyncio.shield(self.over)

    def end(self) -> None:
        self.asked_to_end = True
        self.finish("ended here")

    def finish(self, reason: str = "the client is gone") -> None:
        if self.stream is not None:
            self.stream.close()
        if not self.over.done():
            self.over.set_result(reason)


class ScriptedStub(Stub):
    """Notes what it is asked, and fails as it is told."""

    name = "kernel"

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.calls: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.sessions: list[ScriptedSession] = []
        self.found: dict[str, ScriptedSession] = {}
        self.delay_s = 0.0
        self.closed = False

    def _call(self, name: str, busid: str) -> None:
        self.calls.append(f"{name} {busid}")
        failures = self.failures.get(f"{name} {busid}")
        if failures:
            raise failures.pop(0)

    async def take(self, device: LocalDevice) -> None:
        await asyncio.sleep(self.delay_s)
        self._call("take", device.busid)
        self.taken.add(device.busid)

    async def give_back(self, device: LocalDevice) -> None:
        self._call("give back", device.busid)
        self.taken.discard(device.busid)

    async def start(
        self, device: LocalDevice, stream: socket.socket, reply: bytes, dead_client_s: float
    ) -> Session:
        self._call("start", device.busid)
        stream.send(reply)
        session = ScriptedSession(stream)
        self.sessions.append(session)
        return session

    def session_found(self, device: LocalDevice) -> Session | None:
        return self.found.get(device.busid)

    def close(self) -> None:
        self.closed = True


class Recorder(Narrator):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def tell(self, event: str, text: str, **fields: object) -> None:
        self.events.append((event, text, fields))

    def warn(self, event: str, text: str, **fields: object) -> None:
        self.events.append((event, text, fields))

    def texts(self, event: str) -> list[str]:
        return [text for name, text, _ in self.events if name == event]

    async def wait_for(self, event: str, count: int = 1) -> str:
        async with asyncio.timeout(5):
            while len(self.texts(event)) < count:
                await asyncio.sleep(0.005)
        return self.texts(event)[count - 1]


class ScriptedHotplug:
    def __init__(self) -> None:
        self._events: asyncio.Queue[object] = asyncio.Queue()

    def __enter__(self) -> "ScriptedHotplug":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def happen(self) -> None:
        self._events.put_nowait("something")

    async def __aiter__(self) -> AsyncIterator[object]:
        while True:
            yield await self._events.get()


class Machine:
    """What is plugged in and wished for, to be changed by a test."""

    def __init__(self, directory: Path, *devices: LocalDevice) -> None:
        self.devices = list(devices)
        self.stub = ScriptedStub()
        self.bindings = Bindings()
        self.policy: Policy | Exception = policy(STICK)
        self.keep: dict[str, str] = {}
        self.hotplug = ScriptedHotplug()
        self.surroundings = Surroundings(
            read_inventory=self._read_inventory,
            find_local=self._find,
            reasons_to_keep=lambda devices: {
                d.busid: self.keep[d.busid] for d in devices if d.busid in self.keep
            },
            load_bindings=lambda: self.bindings,
            load_policy=self._load_policy,
            hotplug=lambda: self.hotplug,
            run_directory=directory,
        )

    def _read_inventory(self) -> tuple[LocalDevice, ...]:
        taken = self.stub.taken
        return tuple(
            replace(d, driver="usbip-host" if d.busid in taken else "usb") for d in self.devices
        )

    def _find(self, busid: str) -> LocalDevice | None:
        return next((d for d in self._read_inventory() if d.busid == busid), None)

    def _load_policy(self, path: Path | None) -> Policy:
        if isinstance(self.policy, Exception):
            raise self.policy
        return self.policy


async def receive_all(stream: socket.socket) -> bytes:
    """Everything until the end, whether it is orderly or not."""
    loop = asyncio.get_running_loop()
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(15):
            while data := await loop.sock_recv(stream, 65536):
                received += data
    return received
