"""The emulated server behaves as the kernel's stub does."""

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest

from gadgetip.errors import GadgetipError, LinkLostError
from gadgetip.pump import StallError
from gadgetip.remote import import_device, list_devices
from gadgetip.usb import SetupPacket
from tests.emulated import EmulatedDevice, EmulatedServer, make_device
from tests.emulated.endpoints import InQueue, Sink
from tests.unit.emulated.client import LIMIT_S, Client, importing

Script = Callable[[Client, EmulatedServer], Awaitable[None]]


def run(script: Script, device: EmulatedDevice) -> EmulatedServer:
    async def running() -> None:
        async with importing(server) as client:
            await asyncio.wait_for(script(client, server), LIMIT_S)

    with EmulatedServer(device) as server:
        asyncio.run(running())
    return server


def in_queue(device: EmulatedDevice, address: int = 0x81) -> InQueue:
    endpoint = device.endpoints[address]
    assert isinstance(endpoint, InQueue)
    return endpoint


def test_an_in_urb_waits_for_a_short_packet() -> None:
    device = make_device("bulk-echo")

    async def script(client: Client, server: EmulatedServer) -> None:
        answer = client.submit(0x81, 2048)
        await client.write(0x01, bytes(512))
        await asyncio.sleep(0.05)
        assert not answer.done()
        await client.write(0x01, b"end")
        assert (await answer).data == bytes(512) + b"end"

    server = run(script, device)
    assert [entry.actual_length for entry in server.journal.urbs(0x81)] == [515]
    assert server.journal.violations == []


def test_an_unlink_loses_what_had_come() -> None:
    device = make_device("bulk-echo")

    async def script(client: Client, server: EmulatedServer) -> None:
        answer = client.submit(0x81, 2048)
        await client.write(0x01, bytes(512))
        await client.urbs.unlinked([client.last - 1])
        ret = await answer
        assert (ret.status, ret.actual_length) == (-errno.ECONNRESET, 0)
        await client.write(0x01, b"next")
        assert await client.read(0x81, 512) == b"next"

    assert run(script, device).journal.urbs(0x81)[0].unlinked


def test_a_packet_that_does_not_fit_is_an_overflow() -> None:
    async def script(client: Client, server: EmulatedServer) -> None:
        await client.write(0x01, bytes(100))
        assert (await client.submit(0x81, 64)).status == -errno.EOVERFLOW

    run(script, make_device("bulk-echo"))


def test_a_halt_lasts_until_it_is_cleared() -> None:
    device = make_device("bulk-echo")

    async def script(client: Client, server: EmulatedServer) -> None:
        waiting = [client.submit(0x81, 512) for _ in range(3)]
        await asyncio.sleep(0.05)
        server.call(device.endpoints[0x81].halt)
        assert [(await each).status for each in waiting] == [-errno.EPIPE] * 3
        assert (await client.submit(0x81, 512)).status == -errno.EPIPE
        assert await client.ask(0x82, 0, 0, 0x81, 2) == b"\x01\x00"
        await client.control(SetupPacket.clear_halt(0x81))
        server.call(in_queue(device).push, b"alive")
        assert await client.read(0x81, 512) == b"alive"

    run(script, device)


def test_endpoints_stall_after_some_bytes() -> None:
    device = make_device("stalls-after-bytes")

    async def script(client: Client, server: EmulatedServer) -> None:
        await client.write(0x01, bytes(9_728))
        ret = await client.submit(0x01, data=bytes(1024))
        assert (ret.status, ret.actual_length) == (-errno.EPIPE, 0)
        assert len(await client.read(0x81, 9_728)) == 9_728
        assert (await client.submit(0x81, 512)).status == -errno.EPIPE
        await client.control(SetupPacket.clear_halt(0x81))
        assert len(await client.read(0x81, 512)) == 512

    run(script, device)


@pytest.mark.parametrize(
    "setup",
    [
        SetupPacket.set_configuration(1),
        SetupPacket.set_interface(0, 0),
        SetupPacket.port_reset(),
    ],
)
def test_what_disables_an_endpoint_ends_its_urbs(setup: SetupPacket) -> None:
    device = make_device("bulk-echo")

    async def script(client: Client, server: EmulatedServer) -> None:
        answer = client.submit(0x81, 512)
        await client.control(setup)
        assert (await answer).status == -errno.ESHUTDOWN
        await client.write(0x01, b"again")
        assert await client.read(0x81, 512) == b"again"

    run(script, device)
    assert device.resets == (setup == SetupPacket.port_reset())
    assert device.configuration == 1


def test_settings_decide_which_endpoints_there_are() -> None:
    device = make_device("alternate-setting-five")

    async def script(client: Client, server: EmulatedServer) -> None:
        with pytest.raises(StallError):
            await client.control(SetupPacket.set_interface(0, 1))
        await client.control(SetupPacket.set_interface(0, 5))
        assert await client.ask(0x81, 10, 0, 0, 1) == b"\x05"
        await client.write(0x01, b"five")
        assert await client.read(0x81, 512) == b"five"
        await client.control(SetupPacket.set_interface(0, 0))
        client.submit(0x81, 512)
        await client.control(SetupPacket.get_configuration())
        assert server.journal.violations == ["CMD_SUBMIT to 0x81, which is not enabled"]
        ret = client.submit(0x01, data=b"lost")
        await ret
        assert isinstance(client.urbs.ended, LinkLostError)

    run(script, device)


def test_one_client_at_a_time() -> None:
    async def script(client: Client, server: EmulatedServer) -> None:
        assert await list_devices(server.address) == ()
        with pytest.raises(GadgetipError, match="in use"):
            await import_device(server.address, "1-1", busy_limit_s=0)
        with pytest.raises(GadgetipError, match="no such device"):
            await import_device(server.address, "1-2")

    server = run(script, make_device("bulk-echo"))
    assert server.journal.imports == server.journal.departures == ["1-1"]


def test_the_list_is_as_usbipd_makes_it() -> None:
    keyboard = make_device("keyboard")
    with EmulatedServer(keyboard, make_device("composite")) as server:
        first, second = asyncio.run(list_devices(server.address))
        assert (first.busid, second.busid) == ("1-1", "1-2")
        assert first.interfaces == ()
        server.call(keyboard.set_configuration, 1)
        first, _ = asyncio.run(list_devices(server.address))
        assert [each.bInterfaceClass for each in first.interfaces] == [3]


def test_a_device_can_be_pulled_out_and_plugged_in() -> None:
    async def script(client: Client, server: EmulatedServer) -> None:
        answer = client.submit(0x81, 512)
        server.unplug("1-1")
        await answer
        assert isinstance(client.urbs.ended, LinkLostError)
        server.plug(make_device("ftdi"))
        assert [each.idVendor for each in await list_devices(server.address)] == [0x0403]

    run(script, make_device("bulk-echo"))


def test_a_zero_length_packet_is_one() -> None:
    device = make_device("bulk-echo")

    async def script(client: Client, server: EmulatedServer) -> None:
        await client.write(0x01, b"")
        assert await client.read(0x81, 512) == b""

    run(script, device)
    sink = device.endpoints[0x01]
    assert isinstance(sink, Sink)
    assert list(sink.packets) == [0]
