"""Sticks that are not like the first one: other makers, speeds, endpoint addresses."""

import os
import subprocess
from pathlib import Path

import pytest

from gadgetip.gadget.ffs_descriptors import filler_blob, strings_blob
from gadgetip.gadget.steering import EndpointRequest
from gadgetip.usb import Direction, TransferType, parse_device_file
from tests.system import host
from tests.system.attachment import Attachment, gadgetip
from tests.system.server import StockServer
from tests.system.stick import GADGETS, Stick

UDC = "dummy_udc.3"
QEMU_SERIAL = "GADGETIP0001"


def qemu_stick() -> Path:
    """QEMU's SuperSpeed stick, which nobody here wrote."""
    for path in Path("/sys/bus/usb/devices").glob("*/serial"):
        if path.read_text().strip() == QEMU_SERIAL:
            return path.parent
    raise AssertionError("the machine has no QEMU stick")


def exchange(disk: Path) -> None:
    """Write random data of awkward sizes and read it back past the cache."""
    data = os.urandom(300 * 1024 + 512)
    descriptor = os.open(disk, os.O_RDWR)
    try:
        os.pwrite(descriptor, data, 1 << 20)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(descriptor, len(data), 1 << 20) == data
    finally:
        os.close(descriptor)


def test_a_superspeed_stick_gets_high_speed_descriptors(server: StockServer) -> None:
    device = qemu_stick()
    busid = device.name
    own = parse_device_file((device / "descriptors").read_bytes())
    with (
        server.exporting(busid),
        Attachment("127.0.0.1", f"serial={QEMU_SERIAL}", udc=UDC) as attached,
    ):
        replica = host.wait_for_device(UDC)
        assert (replica / "speed").read_text() == "480\n"
        seen = parse_device_file(host.descriptors(replica))
        mine, theirs = seen.configurations[0], own.configurations[0]
        assert [e.address for s in mine.settings for e in s.endpoints] == [
            e.address for s in theirs.settings for e in s.endpoints
        ]
        assert {e.descriptor.max_packet for s in mine.settings for e in s.endpoints} == {512}
        assert seen.device.bcdUSB == 0x0200
        for name in ("idVendor", "idProduct", "manufacturer", "product", "serial"):
            assert (replica / name).read_text() == (device / name).read_text()
        announced = {d["subject"] for d in attached.bound["deviations"]}
        assert {"speed", "bcdUSB", "BOS descriptor"} <= announced
        exchange(host.wait_for_disk(UDC))


class Burner:
    """A FunctionFS function without interface that takes endpoints before the stick does."""

    def __init__(self, stick: Stick, *taken: Direction) -> None:
        self._gadget = GADGETS / f"stick-{stick.udc}"
        self._requests = [EndpointRequest(d, TransferType.BULK, 8) for d in taken]
        self._mount = Path("/run/gadgetip-bench/burner")

    def __enter__(self) -> None:
        (self._gadget / "UDC").write_text("\n")
        function = self._gadget / "functions/ffs.burner"
        function.mkdir()
        self._mount.mkdir()
        subprocess.run(["mount", "-t", "functionfs", "burner", str(self._mount)], check=True)
        self._ep0 = os.open(self._mount / "ep0", os.O_RDWR)
        os.write(self._ep0, filler_blob(self._requests))
        os.write(self._ep0, strings_blob({}))
        storage = self._gadget / "configs/c.1/mass_storage.0"
        target = self._gadget / "functions/mass_storage.0"
        storage.unlink()
        (self._gadget / "configs/c.1/burner").symlink_to(function)
        storage.symlink_to(target)

    def __exit__(self, *_: object) -> None:
        (self._gadget / "UDC").write_text("\n")
        (self._gadget / "configs/c.1/burner").unlink()
        os.close(self._ep0)
        subprocess.run(["umount", str(self._mount)], check=True)
        self._mount.rmdir()
        (self._gadget / "functions/ffs.burner").rmdir()


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param((Direction.IN, Direction.IN, Direction.OUT), id="0x8b-0x07"),
        pytest.param((Direction.OUT,) * 3, id="0x81-0x01"),
    ],
)
def test_endpoint_addresses_are_steered(server: StockServer, taken: tuple[Direction, ...]) -> None:
    """A stick with other endpoint addresses keeps them, byte for byte."""
    with Stick("dummy_udc.2") as stick, Burner(stick, *taken):
        stick.plug()
        own = stick.descriptors()
        addresses = [
            e.address
            for s in parse_device_file(own).configurations[0].settings
            for e in s.endpoints
        ]
        assert addresses != [0x81, 0x02], "the stick was not made different"
        with (
            server.exporting(stick.busid),
            Attachment("127.0.0.1", stick.id, udc=UDC) as attached,
        ):
            replica = host.wait_for_device(UDC)
            assert attached.bound["deviations"] == []
            assert host.descriptors(replica) == own
            exchange(host.wait_for_disk(UDC))


def test_through_vhci(server: StockServer) -> None:
    """The standard path: the kernel takes the stream, the port is printed, the command returns."""
    with Stick("dummy_udc.2") as stick, server.exporting(stick.busid):
        attached = gadgetip("attach", "127.0.0.1", stick.busid, "--to", "vhci")
        assert attached.returncode == 0, attached.stderr
        port = attached.stdout.split("vhci port ")[1].split()[0]
        try:
            exchange(host.wait_for_disk("usbip-vudc.0"))
        finally:
            Path("/sys/devices/platform/vhci_hcd.0/detach").write_text(port)
            host.wait_for_unplug("usbip-vudc.0")


def test_from_a_vudc_server() -> None:
    """usbip-vudc is a USB/IP server of its own: `usbipd --device`."""
    with (
        Stick("usbip-vudc.0", visible=False),
        StockServer("--device", port=3241),
        Attachment("127.0.0.1:3241", "usbip-vudc.0", udc=UDC),
    ):
        exchange(host.wait_for_disk(UDC))
