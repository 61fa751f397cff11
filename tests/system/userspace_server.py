"""A server that exports devices by the user-space stub, and does nothing else.

For tests of the stub alone, and to compare it with usbip-host: `python -m
tests.system.userspace_server BUSID...` serves until it is told to stop.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType

from gadgetip.errors import GadgetipError
from gadgetip.server.inventory import find_local
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import DeviceInUseError
from gadgetip.server.userspace import UserspaceStub
from gadgetip.wire import (
    NEED_DATA,
    OpStatus,
    RepDevlist,
    RepImport,
    ReqImport,
    ServerConnection,
)

PORT = 3242
START_LIMIT_S = 60.0


class UserspaceServer:
    """The server as a process of its own; its standard error is the test's."""

    def __init__(self, *busids: str, port: int = PORT, dead_client_s: float = 20.0) -> None:
        self.port = port
        options = ["--port", str(port), "--dead-client-s", str(dead_client_s)]
        self._command = [sys.executable, "-m", "tests.system.userspace_server", *options, *busids]

    def __enter__(self) -> "UserspaceServer":
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", "the server did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to give the devices back and end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=START_LIMIT_S)

    @contextlib.contextmanager
    def attached(self, busid: str) -> Iterator[None]:
        """The device through stock `usbip attach`, while the context lasts."""
        attach(busid, self.port)
        try:
            yield
        finally:
            detach_all()


def attach(busid: str, port: int = PORT) -> None:
    """Stock `usbip attach`."""
    subprocess.run(
        ["usbip", "--tcp-port", str(port), "attach", "-r", "127.0.0.1", "-b", busid], check=True
    )


def detach_all() -> None:
    """Stock `usbip detach` of every port."""
    for port in range(16):
        subprocess.run(["usbip", "detach", "-p", str(port)], check=False, capture_output=True)


async def serve(busids: list[str], port: int, dead_client_s: float) -> None:
    """Take the devices, serve them until SIGTERM, give them back."""
    stub = UserspaceStub()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    for busid in busids:
        await stub.take(_device(busid))
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    serving = set()

    async def accept() -> None:
        while True:
            stream, _ = await loop.sock_accept(listener)
            task = loop.create_task(_client(stub, stream, busids, dead_client_s))
            serving.add(task)
            task.add_done_callback(serving.discard)

    accepting = loop.create_task(accept())
    print("ready", flush=True)
    await ended.wait()
    accepting.cancel()
    for busid in busids:
        if (device := find_local(busid)) is not None:
            await stub.give_back(device)
    stub.close()


def _device(busid: str) -> LocalDevice:
    device = find_local(busid)
    assert device is not None, f"no device {busid}"
    return device


async def _client(
    stub: UserspaceStub, stream: socket.socket, busids: list[str], dead_client_s: float
) -> None:
    stream.setblocking(False)
    loop = asyncio.get_running_loop()
    connection = ServerConnection()
    while (message := connection.next_event()) is NEED_DATA:
        connection.receive_data(await loop.sock_recv(stream, connection.wanted))
    if not isinstance(message, ReqImport):
        devices = tuple(_device(busid).record() for busid in busids)
        await loop.sock_sendall(stream, connection.send(RepDevlist(OpStatus.OK, devices)))
        stream.close()
        return
    device = find_local(message.busid) if message.busid in busids else None
    status = OpStatus.OK if device else OpStatus.NODEV
    if device is not None:
        reply = connection.send(RepImport(OpStatus.OK, device.record()))
        try:
            session = await stub.start(device, stream, reply, dead_client_s)
        except DeviceInUseError:
            status = OpStatus.DEV_BUSY
        except GadgetipError as error:
            print(f"{device.busid}: {error}", file=sys.stderr, flush=True)
            status = OpStatus.DEV_ERR
        else:
            print(f"{device.busid}: {await session.wait()}", file=sys.stderr, flush=True)
            return
        connection = ServerConnection()
    header = b"\x01\x11\x00\x03" + int(status).to_bytes(4, "big")
    await loop.sock_sendall(stream, header)
    stream.close()


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("busids", nargs="+")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--dead-client-s", type=float, default=20.0)
    options = parser.parse_args()
    asyncio.run(serve(options.busids, options.port, options.dead_client_s))


if __name__ == "__main__":
    main()
