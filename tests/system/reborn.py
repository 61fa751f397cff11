"""A device and its replica, side by side: attach, look from both ends, compare.

`lsusb -v` of the device is taken before it is exported: while it is in use, the server's own stack
would disturb it.

The tests that use this can be pointed at other paths, to see whether the instruments are sound, or
what the kernel's own way does: GADGETIP_PATH=direct leaves the device on its own host's port,
GADGETIP_PATH=vhci takes it through the stock tools. Then nothing is compared.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system import host, lsusb
from tests.system.attachment import Attachment, wait_until_exported
from tests.system.server import StockServer

PATH = os.environ.get("GADGETIP_PATH", "replica")  # or direct, or vhci
REPLICA_UDC, VHCI = "dummy_udc.1", "usbip-vudc.0"
DEVICES = Path("/sys/bus/usb/devices")


@dataclass(frozen=True)
class Reborn:
    """A device and its replica while both exist."""

    device: str  # its own `lsusb -v`
    replica: Path  # in the host's sysfs
    bound: dict[str, Any]  # what `gadgetip attach` announced; empty on other paths

    @property
    def backend(self) -> str:
        """What the replica is built on."""
        return str(self.bound.get("backend", "none"))

    def assert_as_announced(self) -> None:
        """What differs for the host is exactly what the plan had announced."""
        lsusb.assert_as_announced(
            self.device, lsusb.verbose(self.replica), self.bound["deviations"]
        )


@contextmanager
def reborn(
    server: StockServer, busid: str, *, options: tuple[str, ...] = (), compare: bool = True
) -> Iterator[Reborn]:
    """Attach a device of this machine; when the host has it, compare what both show."""
    device = DEVICES / busid
    shown = lsusb.verbose(device)
    if PATH == "direct":
        yield Reborn(shown, device, {})
    elif PATH == "vhci":
        with _through_vhci(server, busid) as sysfs:
            yield Reborn(shown, sysfs, {})
    else:
        with server.exporting(busid):
            wait_until_exported(busid)
            with Attachment("127.0.0.1", busid, udc=REPLICA_UDC, options=options) as attachment:
                sysfs = host.wait_for_device(REPLICA_UDC)
                both = Reborn(shown, sysfs, attachment.bound)
                if compare:
                    both.assert_as_announced()
                yield both


@contextmanager
def _through_vhci(server: StockServer, busid: str) -> Iterator[Path]:
    with server.exporting(busid):
        wait_until_exported(busid)
        command = ["usbip", "attach", "-r", "127.0.0.1", "-b", busid]
        subprocess.run(command, check=True, capture_output=True)
        try:
            yield host.wait_for_device(VHCI)
        finally:
            subprocess.run(["usbip", "detach", "-p", "0"], check=False, capture_output=True)
            host.wait_for_unplug(VHCI)


def emulated(vendor_product: str, product: str = "") -> Path:
    """The sysfs directory of one of QEMU's devices."""
    for path in sorted(DEVICES.iterdir()):
        try:
            identity = [(path / name).read_text().strip() for name in ("idVendor", "idProduct")]
            name = (path / "product").read_text().strip()
        except OSError:
            continue
        theirs = "pci" in str(path.resolve())
        if theirs and ":".join(identity) == vendor_product and product in name:
            return path
    raise AssertionError(f"the machine has no {vendor_product} {product}")
