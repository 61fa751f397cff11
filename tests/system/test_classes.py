"""Every class that the bench can make, through a replica, driven by the host's own driver.

Each test plugs a device in, exports it, attaches it, compares `lsusb -v` of both with what the plan
announced, and then uses it: the device's end through the node that its kernel function made or
through QEMU, the host's end through the node that the host's driver made.
"""

import importlib.util
import os
import random
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.devices import SERIAL_FAR_END
from tests.system import drivers, host, usbfs
from tests.system.devices import Description, Gadget, catalogue, hid
from tests.system.reborn import PATH, Reborn, emulated, reborn
from tests.system.server import StockServer
from tests.system.stick import STORE, make_store
from tests.system.waiting import wait_for

DEVICE_UDC = "dummy_udc.0"
SERIAL_BYTES = int(os.environ.get("GADGETIP_SERIAL_KIB", "256")) << 10
# QEMU blocks while nobody reads what it sends, see tests/machine/devices.py.
FTDI_WINDOW = 4096
ACM_WINDOW = 16384
SERIAL_LIMIT_S = 150.0
REPORTS = 200
BATCH = 10  # a change of key is five events, and the host's queue holds 64
USAGE_A, KEY_A = 0x04, 30  # HID usage tables 10; linux/input-event-codes.h
LED_CAPS_LOCK = 1

gadgetfs = pytest.mark.skipif(
    PATH == "replica" and importlib.util.find_spec("gadgetip.gadget.backends.gadgetfs") is None,
    reason="its class-specific descriptors need the GadgetFS backend",
)


def plugged(description: Description) -> Gadget:
    return Gadget(description, DEVICE_UDC)


def read_until(file: int, expected: bytes, limit_s: float = 10.0) -> bytes:
    """Read reports until this one comes; returns the last one that came."""
    deadline = time.monotonic() + limit_s
    last = b""
    while last != expected and (left := deadline - time.monotonic()) > 0:
        if select.select([file], [], [], left)[0]:
            last = os.read(file, 4096)
    return last


@pytest.fixture
def stores() -> Iterator[list[Path]]:
    """Three backing files of 4 MiB with random contents."""
    made = [make_store(STORE / f"lun{number}.img", 4 << 20) for number in range(3)]
    for store in made:
        store.write_bytes(os.urandom(4 << 20))
    yield made
    for store in made:
        store.unlink()


# HID


@pytest.mark.parametrize("speed", ["high-speed", "full-speed"])
def test_keyboard_and_mouse(server: StockServer, speed: str) -> None:
    described = catalogue.keyboard_and_mouse(speed=speed)
    keyboard, mouse = described.functions
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        assert drivers.report_descriptor(both.replica, 0) == hid.KEYBOARD_REPORTS
        assert drivers.report_descriptor(both.replica, 1) == hid.MOUSE_REPORTS
        keys = os.open(gadget.node(keyboard), os.O_RDWR)
        try:
            with drivers.Events(drivers.events(both.replica, 0)) as typed:
                type_and_compare(keys, typed)
                typed.write(drivers.EV_LED, LED_CAPS_LOCK, 1)
                assert read_until(keys, b"\x02") == b"\x02"  # SET_REPORT has reached the device
        finally:
            os.close(keys)
        with drivers.Events(drivers.events(both.replica, 1)) as moved:
            steps = [random.Random(number).randint(1, 127) for number in range(50)]
            for step in steps:
                gadget.node(mouse).write_bytes(bytes([0, step, 0]))
            relative = moved.read(len(steps), drivers.EV_REL)
            assert [value for _, value in relative] == steps


def type_and_compare(keys: int, typed: drivers.Events) -> None:
    """Random letters, as fast as the host fetches them: none lost, reordered or doubled."""
    letters = [number % 2 * 13 + random.Random(number).randrange(13) for number in range(REPORTS)]
    seen: list[tuple[int, int]] = []
    for start in range(0, len(letters), BATCH):
        for letter in letters[start : start + BATCH]:
            os.write(keys, bytes([0, 0, USAGE_A + letter, 0, 0, 0, 0, 0]))
        expected = 2 * len(letters[start : start + BATCH]) - (start == 0)
        seen += typed.read(expected, drivers.EV_KEY)
    pressed = [code for code, value in seen if value == 1]
    wanted = [KEYS[letter] for letter in letters]
    alike = pressed == wanted  # apart, because a comparison of lists takes minutes to explain
    assert alike, f"{len(pressed)} of {len(wanted)} keys: {pressed} instead of {wanted}"


# The letters a to z as the host's key codes, which follow the rows of a keyboard.
KEYS = (
    *(30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50),
    *(49, 24, 25, 16, 19, 31, 20, 22, 47, 17, 45, 21, 44),
)


def test_a_report_descriptor_of_700_bytes(server: StockServer) -> None:
    described = catalogue.vendor_hid()
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        read = drivers.report_descriptor(both.replica, 0)
        assert len(read) == hid.LARGE_LENGTH
        assert read == hid.large_reports()
        ours = os.open(gadget.node(described.functions[0]), os.O_RDWR)
        theirs = os.open(drivers.hidraw(both.replica, 0), os.O_RDWR)
        try:
            for _ in range(20):
                out, back = os.urandom(64), os.urandom(64)
                os.write(theirs, b"\0" + out)  # the first byte is the report's number, none here
                assert read_until(ours, out) == out
                os.write(ours, back)
                assert read_until(theirs, back) == back
        finally:
            os.close(ours)
            os.close(theirs)


def test_boot_protocol(server: StockServer) -> None:
    """GET_PROTOCOL tells what SET_PROTOCOL set, so both have reached the device."""
    with (
        plugged(catalogue.keyboard_and_mouse()) as gadget,
        reborn(server, gadget.busid) as both,
        usbfs.Driver(both.replica, 0, 1) as driver,
    ):
        for interface, protocol in ((0, 0), (1, 1), (0, 1), (1, 0)):
            driver.control_out(0x21, 0x0B, protocol, interface)
            assert driver.control_in(0xA1, 0x03, 0, interface, 1) == bytes([protocol])
        # what the function does not know is a stall, and the next request works
        with pytest.raises(usbfs.TransferError, match="EPIPE"):
            driver.control_in(0xA1, 0x77, 0, 0, 1)
        assert driver.control_in(0xA1, 0x03, 0, 0, 1) == b"\1"


@pytest.mark.parametrize("product", ["QEMU USB Keyboard", "QEMU USB Mouse"])
def test_qemus_hid(server: StockServer, product: str) -> None:
    with reborn(server, emulated("0627:0001", product).name) as both:
        assert drivers.events(both.replica, 0).exists()
        assert drivers.report_descriptor(both.replica, 0)


# Mass storage


def test_three_units(server: StockServer, stores: list[Path]) -> None:
    with plugged(catalogue.three_luns(*stores)) as gadget, reborn(server, gadget.busid) as both:
        subprocess.run(["modprobe", "sr_mod"], check=True)
        disk, read_only, image = drivers.disks(both.replica, 3)
        assert image.name.startswith("sr")
        protected = Path("/sys/block", read_only.name, "ro")
        # The kernel asks for the capacity first.
        wait_for(lambda: protected.read_text() == "1\n", f"{read_only} to be read-only")
        for node, store in zip((disk, read_only, image), stores, strict=True):
            assert node.read_bytes() == store.read_bytes()
        data = os.urandom(300 * 1024)
        with disk.open("r+b", buffering=0) as out:
            out.write(data)
            os.fsync(out.fileno())
        assert stores[0].read_bytes()[: len(data)] == data


def test_a_disk_with_keyboard_and_mouse(server: StockServer, stores: list[Path]) -> None:
    described = catalogue.small_composite(stores[0])
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        (disk,) = drivers.disks(both.replica, 1)
        keys = os.open(gadget.node(described.functions[1]), os.O_RDWR)
        try:
            with drivers.Events(drivers.events(both.replica, 1)) as typed:
                type_and_compare(keys, typed)
        finally:
            os.close(keys)
        assert disk.read_bytes() == stores[0].read_bytes()


@gadgetfs
def test_uas(server: StockServer) -> None:
    """USB Attached SCSI at high speed: four pipes, told apart by their pipe usage descriptors."""
    with reborn(server, emulated("46f4:0003").name) as both:
        (disk,) = drivers.disks(both.replica, 1)
        driver = next(both.replica.glob("*:*.0")) / "driver"
        assert driver.resolve().name == "uas"
        data = os.urandom(1 << 20)
        with disk.open("r+b", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            assert file.read(len(data)) == data


# Serial ports


def test_ftdi(server: StockServer) -> None:
    """QEMU's usb-serial, whose other end is a port of this machine."""
    ports = Path("/sys/class/virtio-ports").glob("*/name")
    name = next(p.parent.name for p in ports if p.read_text().strip() == SERIAL_FAR_END)
    far = os.open(Path("/dev", name), os.O_RDWR | os.O_NONBLOCK)
    try:
        with (
            reborn(server, emulated("0403:6001").name) as both,
            drivers.raw_terminal(drivers.terminal(both.replica)) as near,
        ):
            both_ways(near, far, FTDI_WINDOW)
    finally:
        os.close(far)


@gadgetfs
def test_cdc_acm(server: StockServer) -> None:
    described = catalogue.cdc_acm()
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        assert both.backend in {"gadgetfs", "none"}
        with (
            drivers.raw_terminal(gadget.node(described.functions[0])) as far,
            drivers.raw_terminal(drivers.terminal(both.replica)) as near,
        ):
            attributes = termios.tcgetattr(near)
            attributes[4] = attributes[5] = termios.B57600
            termios.tcsetattr(near, termios.TCSANOW, attributes)
            both_ways(near, far, ACM_WINDOW)
        with usbfs.Driver(both.replica, 0, 1) as driver:
            # What the device kept is what the host's driver had set: 57600 baud, 8N1.
            coding = driver.control_in(0xA1, 0x21, 0, 0, 7)
            assert coding == (57600).to_bytes(4, "little") + bytes([0, 0, 8])
            # The device tells of its carrier when its end is opened: SERIAL_STATE, DCD and DSR.
            with drivers.raw_terminal(gadget.node(described.functions[0])):
                notification = driver.read(interrupt_endpoint(both), 64)
                assert notification[:2] == bytes([0xA1, 0x20])


def interrupt_endpoint(both: Reborn) -> int:
    """The address of the first interrupt endpoint of interface 0."""
    for endpoint in sorted(next(both.replica.glob("*:*.0")).glob("ep_*")):
        if (endpoint / "type").read_text().strip() == "Interrupt":
            return int((endpoint / "bEndpointAddress").read_text(), 16)
    raise AssertionError("interface 0 has no interrupt endpoint")


def both_ways(near: int, far: int, window: int) -> None:
    """Random bytes each way at once, equal."""
    data = os.urandom(SERIAL_BYTES), os.urandom(SERIAL_BYTES)
    drivers.exchange(near, far, data, window, SERIAL_LIMIT_S)


# Networks and the rest of what needs class-specific descriptors


@gadgetfs
@pytest.mark.parametrize("kind", ["ecm", "ncm"])
def test_network(server: StockServer, kind: str) -> None:
    described = {"ecm": catalogue.cdc_ecm, "ncm": catalogue.cdc_ncm}[kind]()
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        device_end = gadget.attribute(described.functions[0], "ifname")
        host_end = drivers.network(both.replica)
        address = Path("/sys/class/net", host_end, "address").read_text().strip()
        assert address == catalogue.HOST_MAC  # it comes from a string descriptor
        with drivers.Network(device_end, host_end) as network:
            data = os.urandom(256 << 10)
            assert network.echo(data) == data


@gadgetfs
def test_midi(server: StockServer) -> None:
    with plugged(catalogue.midi()) as gadget, reborn(server, gadget.busid) as both:
        card = Path("/proc/asound/benchmidi").resolve().name.removeprefix("card")
        near = os.open(drivers.midi(both.replica), os.O_RDWR | os.O_NONBLOCK)
        far = os.open(f"/dev/snd/midiC{card}D0", os.O_RDWR | os.O_NONBLOCK)
        try:
            notes = b"".join(bytes([0x90, key % 128, 1 + key % 127]) for key in range(200))
            drivers.exchange(near, far, (notes, notes[::-1][::-1]), 96, 30.0)
        finally:
            os.close(near)
            os.close(far)


@gadgetfs
def test_a_composite_with_interface_associations(server: StockServer, stores: list[Path]) -> None:
    """Serial port, network, disk and keyboard, in use one after the other."""
    described = catalogue.composite(stores[0])
    serial, network, _, keyboard = described.functions
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        (disk,) = drivers.disks(both.replica, 1)
        device_end = gadget.attribute(network, "ifname")
        with drivers.Network(device_end, drivers.network(both.replica)) as cable:
            data = os.urandom(64 << 10)
            assert cable.echo(data) == data
        with (
            drivers.raw_terminal(gadget.node(serial)) as far,
            drivers.raw_terminal(drivers.terminal(both.replica)) as near,
        ):
            payload = os.urandom(64 << 10)
            drivers.exchange(near, far, (payload, payload), ACM_WINDOW, 60.0)
        keys = os.open(gadget.node(keyboard), os.O_RDWR)
        try:
            with drivers.Events(drivers.events(both.replica, 5)) as typed:
                type_and_compare(keys, typed)
        finally:
            os.close(keys)
        assert disk.read_bytes() == stores[0].read_bytes()


def test_a_smart_card_reader(server: StockServer) -> None:
    """CCID's class descriptor of 54 bytes, and one of its messages there and back."""
    with (
        reborn(server, emulated("08e6:4433").name) as both,
        usbfs.Driver(both.replica, 0) as driver,
    ):
        addresses = [
            int((path / "bEndpointAddress").read_text(), 16)
            for path in sorted(next(both.replica.glob("*:*.0")).glob("ep_*"))
            if (path / "type").read_text().strip() == "Bulk"
        ]
        (out,) = [address for address in addresses if not address & 0x80]
        (back,) = [address for address in addresses if address & 0x80]
        for sequence in range(10):
            asked = bytes([0x65, 0, 0, 0, 0, 0, sequence, 0, 0, 0])  # PC_to_RDR_GetSlotStatus
            assert driver.write(out, asked) == len(asked)
            answer = driver.read(back, 64)
            assert answer[0] == 0x81  # RDR_to_PC_SlotStatus
            assert answer[6] == sequence


# Whole devices, looked at


def test_two_configurations(server: StockServer) -> None:
    described = catalogue.gadget_zero(loopback=True)
    with plugged(described) as gadget, reborn(server, gadget.busid) as both:
        assert (both.replica / "bConfigurationValue").read_text().strip() == "1"


def test_a_device_that_left_leaves_nothing(server: StockServer) -> None:
    """The bench itself: a gadget that was used twice is gone twice."""
    for _ in range(2):
        with plugged(catalogue.keyboard_and_mouse()) as gadget:
            assert gadget.directory.is_dir()
        assert not gadget.directory.exists()
        host.wait_for_unplug(DEVICE_UDC)
