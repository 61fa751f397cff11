"""All nine pairs of client and server, each with a disk, a keyboard and a serial port.

    gadgetip to a gadget  ┐         ┌ gadgetip serve, kernel stub
    gadgetip to vhci      ├ ─────── ┤ gadgetip serve, user-space stub
    stock usbip           ┘         └ stock usbipd

The three devices are made once and each server runs once. What must pass is data, both ways, that
is compared with what the device itself has.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.machine.devices import SERIAL_FAR_END
from tests.system import drivers, host
from tests.system.devices import Gadget, catalogue
from tests.system.exporters import Exporter, drivers_of, exporting
from tests.system.importers import CLIENTS, importing
from tests.system.reborn import emulated
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.waiting import wait_for
from tests.system.wire_client import wait_until_listed

STICK_MIB = 8
READ_BYTES = 2 << 20
WRITE_BYTES = 512 << 10
WRITE_AT = 4 << 20
KEYS = 10
USAGE_A = 0x04
# A to M of linux/input-event-codes.h
KEY_CODES = (30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50)
KEY_LIMIT_S = 60.0
LED_CAPS_LOCK = 1
SERIAL_BYTES = 8 << 10
SERIAL_WINDOW = 2048  # QEMU blocks while nobody reads, see tests/machine/devices.py
SERIAL_LIMIT_S = 60.0
FREE_UDCS = ("dummy_udc.1", "dummy_udc.3")
FTDI = "0403:6001"


@dataclass(frozen=True)
class Devices:
    """What is exported: the device's ends of all three."""

    stick: Stick
    keyboard: Gadget
    serial: Path
    serial_far: int

    @property
    def identities(self) -> dict[str, str]:
        """VID:PID of each, by bus id; the disk first, the serial port last."""
        return {
            self.stick.busid: self.stick.id,
            self.keyboard.busid: self.keyboard.id,
            self.serial.name: FTDI,
        }


@pytest.fixture(scope="module")
def devices(kernel_modules: None) -> Iterator[Devices]:
    """All three, plugged in here."""
    ports = Path("/sys/class/virtio-ports").glob("*/name")
    name = next(p.parent.name for p in ports if p.read_text().strip() == SERIAL_FAR_END)
    far = os.open(Path("/dev", name), os.O_RDWR | os.O_NONBLOCK)
    keys = catalogue.keyboard_and_mouse()
    try:
        with (
            Stick("dummy_udc.0", size_mib=STICK_MIB) as stick,
            Gadget(keys, "dummy_udc.2") as typed,
        ):
            stick.fill()
            yield Devices(stick, typed, emulated(FTDI), far)
    finally:
        os.close(far)


@pytest.fixture(scope="module", params=["stock", "kernel", "userspace"])
def exporter(request: pytest.FixtureRequest, devices: Devices) -> Iterator[Exporter]:
    """One server at a time, with all three; afterwards their drivers have them again."""
    before = {busid: drivers_of(busid) for busid in devices.identities}
    assert all(before.values()), before
    with exporting(request.param, list(devices.identities)) as running:
        yield running
    for busid, drivers_before in before.items():
        wait_for(lambda: drivers_of(busid) == drivers_before, f"{busid} back with its drivers")  # noqa: B023


@pytest.mark.parametrize("client", CLIENTS)
def test_pair(exporter: Exporter, client: str, devices: Devices) -> None:
    """Everything that is exported works through this client."""
    wait_until_listed(exporter.port, *devices.identities)
    both = dict(list(devices.identities.items())[:2])
    serial = {devices.serial.name: FTDI}
    if client != "gadget":
        with importing(client, exporter, devices.identities) as found:
            exchange_storage(found[devices.stick.busid], devices.stick)
            exchange_keys(found[devices.keyboard.busid], devices.keyboard)
            exchange_serial(found[devices.serial.name], devices.serial_far)
        return
    with importing(client, exporter, both, FREE_UDCS) as found:
        exchange_storage(found[devices.stick.busid], devices.stick)
        exchange_keys(found[devices.keyboard.busid], devices.keyboard)
    with importing(client, exporter, serial, FREE_UDCS[:1]) as found:
        exchange_serial(found[devices.serial.name], devices.serial_far)


@pytest.mark.parametrize("client", ["vhci", "stock"])
def test_vudc_as_a_server(client: str, kernel_modules: None) -> None:
    """`usbipd --device` exports what is on usbip-vudc; replicas of it are in test_devices."""
    with (
        Stick("usbip-vudc.0", size_mib=STICK_MIB, visible=False) as stick,
        StockServer("--device", port=3241) as server,
    ):
        stick.fill()
        served = Exporter("vudc", server.port, server.pid)
        with importing(client, served, {"usbip-vudc.0": stick.id}) as found:
            exchange_storage(found["usbip-vudc.0"], stick)


def exchange_storage(device: Path, stick: Stick) -> None:
    """Read what the device has, write what it will have: both compared with its own memory."""
    node = wait_for(lambda: host.disk_of(device), "a disk", host.STACK_LIMIT_S)
    written = os.urandom(WRITE_BYTES)
    disk = os.open(node, os.O_RDWR)
    try:
        with stick.store.open("rb") as store:
            assert os.pread(disk, READ_BYTES, 0) == store.read(READ_BYTES)
            os.pwrite(disk, written, WRITE_AT)
            os.fsync(disk)
            store.seek(WRITE_AT)
            assert store.read(WRITE_BYTES) == written
    finally:
        os.close(disk)


def exchange_keys(device: Path, gadget: Gadget) -> None:
    """Keys from the device, in order, and a LED from the host."""
    keyboard = gadget.description.functions[0]
    letters = [(number * 7) % 13 for number in range(KEYS)]
    keys = os.open(gadget.node(keyboard), os.O_RDWR | os.O_NONBLOCK)
    try:
        with drivers.Events(drivers.events(device, 0)) as typed:
            pressed: list[tuple[int, int]] = []
            for letter in letters:
                for usage in (USAGE_A + letter, 0):
                    wait_for(lambda: _write(keys, usage), "room for a report")  # noqa: B023
                pressed += typed.read(2, drivers.EV_KEY, KEY_LIMIT_S)
            assert pressed == [(KEY_CODES[letter], value) for letter in letters for value in (1, 0)]
            for value in (1, 0):
                typed.write(drivers.EV_LED, LED_CAPS_LOCK, value)
                expected = bytes([value << 1])
                wait_for(lambda: _read(keys) == expected, "the LED at the device")  # noqa: B023
    finally:
        os.close(keys)


def _write(keys: int, usage: int) -> bool:
    try:
        return os.write(keys, bytes([0, 0, usage, 0, 0, 0, 0, 0])) == 8
    except BlockingIOError:
        return False


def _read(keys: int) -> bytes:
    try:
        return os.read(keys, 64)
    except BlockingIOError:
        return b""


def exchange_serial(device: Path, far: int) -> None:
    """Random bytes both ways at once."""
    data = (os.urandom(SERIAL_BYTES), os.urandom(SERIAL_BYTES))
    with drivers.raw_terminal(drivers.terminal(device)) as near:
        drivers.exchange(near, far, data, SERIAL_WINDOW, SERIAL_LIMIT_S)
