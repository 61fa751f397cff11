"""List and import, against a server on loopback."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gadgetip.errors import (
    DeviceUnpluggedError,
    ExitStatus,
    GadgetipError,
    LinkLostError,
    RemoteProtocolError,
)
from gadgetip.link import HostAddress
from gadgetip.remote import import_device, is_still_exported, list_devices, operations
from gadgetip.usb import Speed
from gadgetip.wire import OpStatus
from tests.unit.gadget.devices import HS_STICK

from .examples import exported, record
from .server import Server, serving


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep

    async def no_pause(_: float) -> None:
        await sleep(0)

    monkeypatch.setattr("gadgetip.remote.operations.asyncio.sleep", no_pause)


def test_a_list() -> None:
    async def scenario() -> None:
        server = Server(exported("1-1", interfaces=True), exported("1-2"))
        async with serving(server):
            devices = await list_devices(server.address)
            assert devices == (
                record("1-1", HS_STICK, interfaces=True),
                record("1-2", HS_STICK),
            )

    asyncio.run(scenario())


def test_an_import_and_what_follows_on_the_stream() -> None:
    async def scenario() -> None:
        server = Server(exported("1-2"))
        async with serving(server):
            imported = await import_device(server.address, "1-2")
            assert imported.record.busid == "1-2"
            assert imported.speed is Speed.HIGH
            assert imported.connection.devid == 0x10002
            # The stream may go to the kernel: nothing of it is held back here.
            assert imported.connection.buffered == 0
            imported.close()
            await server.changed.wait()
            assert not server.devices["1-2"].in_use

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (OpStatus.NA, "does not make this device available"),
        (OpStatus.DEV_ERR, "error state"),
        (OpStatus.NODEV, "exports no such device"),
        (OpStatus.ERROR, "failed to carry out"),
    ],
)
def test_an_import_that_is_refused(status: OpStatus, text: str) -> None:
    async def scenario() -> None:
        device = exported("1-2")
        device.refusals.append(status)
        async with serving(Server(device)) as server:
            with pytest.raises(GadgetipError, match=f"did not give 1-2: .*{text}"):
                await import_device(server.address, "1-2")
            assert device.imports == 0

    asyncio.run(scenario())


def test_a_device_that_the_server_is_still_taking_back_is_asked_for_again() -> None:
    async def scenario() -> None:
        device = exported("1-2")
        device.refusals.extend([OpStatus.DEV_BUSY] * 3)
        async with serving(Server(device)) as server:
            imported = await import_device(server.address, "1-2")
            assert device.imports == 1
            imported.close()

    asyncio.run(scenario())


def test_a_device_that_somebody_else_has() -> None:
    async def scenario() -> None:
        device = exported("1-2")
        device.refusals.extend([OpStatus.DEV_BUSY] * 2)
        async with serving(Server(device)) as server:
            with pytest.raises(GadgetipError, match="in use by another client"):
                await import_device(server.address, "1-2", busy_limit_s=0)
            assert len(device.refusals) == 1

    asyncio.run(scenario())


def test_a_server_that_gives_no_list() -> None:
    async def scenario() -> None:
        server = Server(exported("1-2"))
        server.list_status = OpStatus.ERROR
        async with serving(server):
            with pytest.raises(GadgetipError, match="gave no list: the server failed"):
                await list_devices(server.address)

    asyncio.run(scenario())


def _import(address: HostAddress) -> Awaitable[object]:
    return import_device(address, "1-2")


@pytest.mark.parametrize("ask", [list_devices, _import])
@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (b"", LinkLostError, "closed the connection instead of answering"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", RemoteProtocolError, "version"),
        (b"\x01\x11\x00\x05\x00\x00\x00\x00\xff\xff\xff\xff", RemoteProtocolError, None),
        (b"\x01\x11\x00\x05\x00", RemoteProtocolError, "ended inside"),
        (b"\x01\x11\x00\x03\x00\x00\x00\x00" + b"\xff" * 312, RemoteProtocolError, None),
    ],
)
def test_what_is_no_answer(
    ask: Callable[[HostAddress], Awaitable[object]],
    reply: bytes,
    kind: type[GadgetipError],
    text: str | None,
) -> None:
    async def scenario() -> None:
        server = Server()
        server.raw_reply = reply
        async with serving(server):
            with pytest.raises(kind, match=text):
                await ask(server.address)

    asyncio.run(scenario())


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "REPLY_LIMIT_S", 0.05)

    async def scenario() -> None:
        server = Server()
        server.silent = True
        async with serving(server):
            with pytest.raises(
                LinkLostError, match=r"then said nothing .* is that a USB/IP server"
            ):
                await list_devices(server.address)

    asyncio.run(scenario())


# --- why a connection ended -----------------------------------------------------------------


def test_a_device_that_is_still_there() -> None:
    async def scenario() -> None:
        async with serving(Server(exported("1-2"))) as server:
            why = await is_still_exported(server.address, "1-2")
            assert isinstance(why, LinkLostError)
            assert "the device is still there" in str(why)

    asyncio.run(scenario())


def test_a_device_that_the_server_lists_again_only_after_a_moment() -> None:
    async def scenario() -> None:
        server = Server(exported("1-2"))
        server.listed = []
        async with serving(server):
            asking = asyncio.get_running_loop().create_task(
                is_still_exported(server.address, "1-2")
            )
            while not server.lists:
                await asyncio.sleep(0)
            server.listed = ["1-2"]
            assert isinstance(await asking, LinkLostError)

    asyncio.run(scenario())


def test_a_device_that_was_unplugged() -> None:
    async def scenario() -> None:
        async with serving(Server(exported("1-3"))) as server:
            why = await is_still_exported(server.address, "1-2")
            assert isinstance(why, DeviceUnpluggedError)
            assert why.exit_status is ExitStatus.UNPLUGGED
            assert server.lists == 3

    asyncio.run(scenario())


def test_a_server_that_is_gone() -> None:
    async def scenario() -> None:
        async with serving(Server()) as server:
            address = server.address
        why = await is_still_exported(address, "1-2")
        assert isinstance(why, LinkLostError)
        assert "the server is gone: nothing listens" in str(why)

    asyncio.run(scenario())
