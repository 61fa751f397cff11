"""A USB/IP server on this machine's loopback that exports emulated devices.

It runs on an event loop in a thread of its own, so that tests may block, run an event loop of
their own, or start processes. Everything that concerns a device happens on that loop: use
`EmulatedServer.call` to touch one from outside.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from gadgetip.link import HostAddress
from gadgetip.wire import DeviceRecord, InterfaceRecord
from tests.emulated.device import EmulatedDevice, walk_settings
from tests.emulated.journal import Journal
from tests.emulated.session import Session

_P = ParamSpec("_P")
_R = TypeVar("_R")

START_LIMIT_S = 10.0
BUSNUM = 1


class EmulatedServer:
    """Serves while its context is open; port 0 is any free one."""

    def __init__(
        self,
        *devices: EmulatedDevice,
        host: str = "127.0.0.1",
        port: int = 0,
        session: type[Session] = Session,
    ) -> None:
        self.devices: dict[str, EmulatedDevice] = {}
        self.in_use: dict[str, Session] = {}
        self.journal = Journal()
        self.session = session
        self.address = HostAddress(host, port)
        self.loop = asyncio.new_event_loop()
        for device in devices:
            self._add(device)

    @property
    def host(self) -> str:
        """The HOST argument of a command that is to talk to this server."""
        return str(self.address)

    def __enter__(self) -> "EmulatedServer":
        self._ready: threading.Event = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="emulated server", daemon=True)
        self._thread.start()
        assert self._ready.wait(START_LIMIT_S), "the emulated server does not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_LIMIT_S)
        assert not self._thread.is_alive(), "the emulated server does not end"

    def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call a function on the server's loop, from another thread; gives what it returns."""

        async def calling() -> _R:
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(calling(), self.loop).result(START_LIMIT_S)

    def plug(self, device: EmulatedDevice) -> None:
        """Export another device."""
        self.call(self._add, device)

    def unplug(self, busid: str) -> None:
        """Pull a device out: it is not exported any more, and whoever has it loses the stream."""

        def pull() -> None:
            del self.devices[busid]
            if (session := self.in_use.get(busid)) is not None:
                session.close()

        self.call(pull)

    def drop_clients(self) -> None:
        """Reset every connection that has a device."""

        def drop() -> None:
            for session in list(self.in_use.values()):
                session.reset()

        self.call(drop)

    def records(self) -> tuple[DeviceRecord, ...]:
        """The list: what nobody uses, as usbipd gives it."""
        return tuple(
            self.record(device, listed=True)
            for busid, device in self.devices.items()
            if busid not in self.in_use
        )

    def record(self, device: EmulatedDevice, *, listed: bool = False) -> DeviceRecord:
        """One device's entry; interfaces only of a configured device, and only in the list."""
        raw = device.descriptor.ljust(18, b"\0")
        found = _interfaces(device)
        number = int(device.busid.rpartition("-")[2].rpartition(".")[2])
        return DeviceRecord(
            path=f"/sys/devices/emulated/{device.busid}",
            busid=device.busid,
            busnum=BUSNUM,
            devnum=number + 1,
            speed=int(device.speed),
            idVendor=int.from_bytes(raw[8:10], "little"),
            idProduct=int.from_bytes(raw[10:12], "little"),
            bcdDevice=int.from_bytes(raw[12:14], "little"),
            bDeviceClass=raw[4],
            bDeviceSubClass=raw[5],
            bDeviceProtocol=raw[6],
            bConfigurationValue=device.configuration,
            bNumConfigurations=raw[17],
            bNumInterfaces=len(found),
            interfaces=found if listed else (),
        )

    def _add(self, device: EmulatedDevice) -> None:
        if not device.busid:
            device.busid = f"{BUSNUM}-{len(self.devices) + 1}"
        assert device.busid not in self.devices
        device.loop = self.loop
        self.devices[device.busid] = device

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                # Cancelled only by the end of the server, and then nobody wants to hear of it.
                with contextlib.suppress(asyncio.CancelledError):
                    await self.session(self, reader, writer).run()
            finally:
                tasks.discard(task)

        try:
            listener = await asyncio.start_server(connected, self.address.host, self.address.port)
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        self.address = HostAddress(self.address.host, listener.sockets[0].getsockname()[1])
        self._ready.set()
        await self._ended.wait()
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _interfaces(device: EmulatedDevice) -> tuple[InterfaceRecord, ...]:
    """The class of each interface's setting 0 in the configuration that was chosen."""
    for data in device.configurations:
        if len(data) < 6 or not device.configuration or data[5] != device.configuration:
            continue
        found, at = [], 0
        numbers = {number for number, alternate in walk_settings(data) if alternate == 0}
        while at + 2 <= len(data) and data[at] >= 2:
            each = data[at : at + data[at]]
            if each[1] == 4 and len(each) >= 8 and each[3] == 0 and each[2] in numbers:
                found.append(InterfaceRecord(each[5], each[6], each[7]))
            at += data[at]
        return tuple(found[:32])
    return ()
