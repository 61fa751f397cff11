"""The pump that was asked for is the one that runs, and the Python pump carries every kind of work.

Without `--pump` every other test runs the native pump, or that of GADGETIP_PUMP.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine.devices import SERIAL_FAR_END
from tests.system import drivers, host
from tests.system.attachment import Attachment, wait_until_exported
from tests.system.devices import catalogue
from tests.system.reborn import emulated
from tests.system.server import StockServer
from tests.system.stick import Stick, sha256
from tests.system.test_attach import write
from tests.system.test_classes import FTDI_WINDOW, plugged, type_and_compare

UDC = "dummy_udc.1"
SERIAL_BYTES = 20_000
SERIAL_LIMIT_S = 60.0
MIB = 1 << 20


@contextmanager
def carried_by(pump: str, server: StockServer, busid: str) -> Iterator[Path]:
    """The replica at the host; its worker has the native module loaded, or it has not."""
    with server.exporting(busid):
        wait_until_exported(busid)
        with Attachment("127.0.0.1", busid, udc=UDC, options=("--pump", pump)) as attached:
            mapped = Path(f"/proc/{attached.worker()}/maps").read_text()
            assert ("/gadgetip/pump/_native." in mapped) is (pump == "native")
            yield host.wait_for_device(UDC)


@pytest.mark.parametrize("pump", ["python", "native"])
def test_a_disk_both_ways(server: StockServer, pump: str) -> None:
    with Stick("dummy_udc.0", size_mib=8) as stick:
        stick.fill()
        with carried_by(pump, server, stick.busid):
            disk = host.wait_for_disk(UDC)
            assert sha256(disk) == stick.checksum()
            data = os.urandom(2 * MIB)
            write(disk, data, at=3 * MIB)
        with stick.store.open("rb") as store:
            store.seek(3 * MIB)
            assert store.read(len(data)) == data


def test_a_keyboard(server: StockServer) -> None:
    described = catalogue.keyboard_and_mouse()
    with plugged(described) as gadget, carried_by("python", server, gadget.busid) as replica:
        keys = os.open(gadget.node(described.functions[0]), os.O_RDWR)
        try:
            with drivers.Events(drivers.events(replica, 0)) as typed:
                type_and_compare(keys, typed)
        finally:
            os.close(keys)


def test_a_serial_adapter(server: StockServer) -> None:
    ports = Path("/sys/class/virtio-ports").glob("*/name")
    name = next(p.parent.name for p in ports if p.read_text().strip() == SERIAL_FAR_END)
    far = os.open(Path("/dev", name), os.O_RDWR | os.O_NONBLOCK)
    try:
        with (
            carried_by("python", server, emulated("0403:6001").name) as replica,
            drivers.raw_terminal(drivers.terminal(replica)) as near,
        ):
            data = os.urandom(SERIAL_BYTES), os.urandom(SERIAL_BYTES)
            drivers.exchange(near, far, data, FTDI_WINDOW, SERIAL_LIMIT_S)
    finally:
        os.close(far)
