"""Every emulated device can be read, and does what it is there for."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gadgetip.matching import DeviceSelector
from gadgetip.pump import ControlTimeoutError, StallError
from gadgetip.remote import find_and_import
from gadgetip.usb import DeviceTree, SetupPacket, build_device_file
from tests.emulated import DEVICES, EmulatedServer, make_device
from tests.emulated.devices.hid import Hid
from tests.emulated.devices.serial import Acm
from tests.unit.emulated.client import LIMIT_S, Client, importing


def tree_of(name: str) -> DeviceTree:
    with EmulatedServer(make_device(name)) as server:
        found = asyncio.run(find_and_import(server.address, DeviceSelector.parse("1-1")))
        found.imported.close()
        return found.tree


def talk(name: str, script: Callable[[Client], Awaitable[None]], configuration: int = 1) -> None:
    async def running() -> None:
        async with importing(server, configuration=configuration) as client:
            await asyncio.wait_for(script(client), LIMIT_S)

    with EmulatedServer(make_device(name)) as server:
        asyncio.run(running())
        assert server.journal.violations == []


@pytest.mark.parametrize("name", DEVICES)
def test_it_is_read_as_it_is_written(name: str) -> None:
    device = make_device(name)
    raw = device.descriptor + b"".join(device.configurations)
    assert build_device_file(tree_of(name)) == raw
    assert (DEVICES[name].__doc__ or "").splitlines()[0].endswith(".")


def test_they_are_as_odd_as_announced() -> None:
    assert tree_of("webcam").configurations[0].descriptor.wTotalLength == 1500
    assert list(tree_of("interface-gaps").configurations[0].interfaces) == [0, 2, 5]
    assert tree_of("not-bcd").device.bcdDevice == 0x1A2F
    assert tree_of("no-strings").strings.texts == {}
    assert len(tree_of("long-strings").strings.get(1) or "") == 126
    languages = tree_of("two-languages").strings
    assert (languages.get(4, 0x0407), languages.get(4, 0x0409)) == ("nur auf Deutsch", None)
    strange = tree_of("xbox-pad").configurations[0].setting(0).find(0x21)
    assert [each.bLength for each in strange] == [17]


def test_cdc_acm() -> None:
    async def script(client: Client) -> None:
        coding = bytes.fromhex("00 c2 01 00 00 00 08")
        await client.tell(0x21, 0x20, 0, 0, coding)
        assert await client.ask(0xA1, 0x21, 0, 0, 7) == coding
        await client.tell(0x21, 0x22, 3, 0)
        assert (await client.read(0x82, 16))[:2] == b"\xa1\x20"
        await client.write(0x03, b"hello")
        assert await client.read(0x81, 512) == b"hello"
        with pytest.raises(StallError):
            await client.ask(0xA1, 0x77, 0, 0, 7)

    talk("cdc-acm", script)


def test_ftdi_has_status_bytes_in_each_packet() -> None:
    async def script(client: Client) -> None:
        assert await client.read(0x81, 64) == b"\x01\x60"
        await client.write(0x02, bytes(62) + b"x")
        got = b""
        while len(got) < 63:
            packet = await client.read(0x81, 64)
            assert packet[:2] == b"\x01\x60"
            got += packet[2:]
        assert got == bytes(62) + b"x"

    talk("ftdi", script)


def test_report_descriptor_of_700_bytes() -> None:
    async def script(client: Client) -> None:
        assert len(await client.ask(0x81, 6, 0x2200, 0, 700)) == 700
        first, second = await client.read(0x81, 64), await client.read(0x81, 64)
        assert (first[0], second[0]) == (1, 2)

    talk("long-report-descriptor", script)


def test_keyboard_takes_leds() -> None:
    device = make_device("keyboard")

    async def running() -> None:
        async with importing(server) as client:
            await client.tell(0x21, 0x09, 0x0200, 0, b"\x07")
            assert len(await client.read(0x81, 8)) == 8

    with EmulatedServer(device) as server:
        asyncio.run(running())
    function = device.functions[0]
    assert isinstance(function, Hid)
    assert function.written == [(0x0200, b"\x07")]


def test_microsoft_descriptors() -> None:
    async def script(client: Client) -> None:
        assert "MSFT100".encode("utf-16-le") in await client.ask(0x80, 6, 0x03EE, 0, 255)
        assert len(await client.ask(0xC0, 0x20, 0, 4, 255)) == 40
        properties = await client.ask(0xC1, 0x20, 0, 5, 1000)
        assert int.from_bytes(properties[:4], "little") == len(properties)

    talk("winusb", script)


def test_a_vendor_request_without_an_answer() -> None:
    async def script(client: Client) -> None:
        with pytest.raises(ControlTimeoutError):
            await client.urbs.control(SetupPacket(0xC0, 1, 0, 0, 8), limit_s=0.1)

    talk("never-answers-vendor", script)


def test_the_setting_decides_the_reports() -> None:
    async def script(client: Client) -> None:
        for alternate, size in enumerate((16, 64, 512, 1024)):
            await client.control(SetupPacket.set_interface(0, alternate))
            assert await client.read(0x81, size) == bytes([alternate]) * size

    talk("four-settings-one-address", script)


def test_the_second_configuration() -> None:
    async def script(client: Client) -> None:
        assert len(await client.ask(0x81, 6, 0x2200, 0, 255)) == 63
        assert len(await client.read(0x82, 8)) == 8

    talk("two-configurations", script, configuration=2)


def test_headset() -> None:
    async def script(client: Client) -> None:
        await client.tell(0x21, 0x01, 0x0201, 0x0200, b"\x00\xf0")
        assert await client.ask(0xA1, 0x81, 0x0201, 0x0200, 2) == b"\x00\xf0"
        await client.control(SetupPacket.set_interface(2, 1))
        assert len(await client.read(0x83, 1)) == 1

    talk("headset", script)


def test_bluetooth_answers_commands() -> None:
    async def script(client: Client) -> None:
        await client.tell(0x20, 0, 0, 0, b"\x03\x0c\x00")
        assert await client.read(0x81, 16) == b"\x0e\x04\x01\x03\x0c\x00"
        for alternate in range(6):
            await client.control(SetupPacket.set_interface(1, alternate))

    talk("bluetooth", script)


def test_bulk_echo_obeys() -> None:
    async def script(client: Client) -> None:
        await client.tell(0x40, 0x03, 0, 0, b"pushed")
        assert await client.read(0x82, 64) == b"pushed"
        await client.tell(0x40, 0x04, 0, 0, bytes(range(256)) * 16)
        assert await client.ask(0xC0, 0x14, 0, 0, 4096) == bytes(range(256)) * 16
        await client.tell(0x40, 0x01, 0, 0x01)
        assert (await client.submit(0x01, data=b"x")).status == -32

    talk("bulk-echo", script)


def test_composite_functions_are_apart() -> None:
    device = make_device("composite")

    async def running() -> None:
        async with importing(server) as client:
            await client.tell(0x21, 0x22, 1, 0)
            await client.tell(0x21, 0x22, 2, 3)

    with EmulatedServer(device) as server:
        asyncio.run(running())
    states = [each.line_state for each in device.functions.values() if isinstance(each, Acm)]
    assert states == [1, 1, 2, 2]
