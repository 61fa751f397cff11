"""A USB stick to export: the kernel's own mass storage function on one of the cables."""

import os
import subprocess
from pathlib import Path
from types import TracebackType

from tests.system.devices.gadget import GADGETS, Configuration, Description, Function, Gadget

__all__ = ["GADGETS", "STORE", "Stick", "sha256"]

STORE = Path("/run/gadgetip-bench")


class Stick(Gadget):
    """A mass storage device on a controller; plugged in while the context lasts.

    One that is not `visible` has no host of its own: usbip-vudc is served to the network.
    """

    def __init__(
        self,
        udc: str,
        *,
        size_mib: int = 64,
        speed: str = "high-speed",
        serial: str | None = "4C530001230518104285",
        product: str = "Ultra",
        vendor_id: int = 0x0781,
        product_id: int = 0x5581,
        bcd_device: int = 0x0126,
        power_ma: int = 200,
        attributes: int = 0x80,
        configuration: str | None = None,
        visible: bool = True,
    ) -> None:
        self.serial = serial
        self.store = STORE / f"stick-{udc}.img"
        self._size = size_mib << 20
        storage = Function("mass_storage", {"lun.0/removable": 1, "lun.0/file": str(self.store)})
        description = Description(
            (
                Configuration(
                    (storage,), name=configuration, attributes=attributes, power_ma=power_ma
                ),
            ),
            vendor_id,
            product_id,
            bcd_device,
            manufacturer="SanDisk",
            product=product,
            serial=serial,
            speed=speed,
        )
        super().__init__(description, udc, name=f"stick-{udc}", visible=visible)

    def __enter__(self) -> "Stick":
        make_store(self.store, self._size)
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self.store.unlink()

    def fill(self) -> None:
        """Fill the whole stick with random bytes, behind the device's back."""
        with self.store.open("r+b") as store:
            left = self._size
            while left:
                left -= store.write(os.urandom(min(left, 1 << 20)))

    def checksum(self, length: int | None = None) -> str:
        """SHA-256 of the backing store, or of its beginning."""
        return sha256(self.store, length)


def make_store(path: Path, size: int) -> Path:
    """An empty backing file of `size` bytes, in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as store:
        store.truncate(size)
    return path


def sha256(path: Path, length: int | None = None) -> str:
    """SHA-256 of a file or disk, read past the page cache where it is a disk."""
    flags = ["iflag=direct"] if path.is_block_device() else []
    count = [] if length is None else [f"count={length}", "iflag=count_bytes"]
    if flags and length is not None:
        count = [f"count={length}"]
        flags = ["iflag=direct,count_bytes"]
    with subprocess.Popen(
        ["dd", f"if={path}", "bs=1M", "status=none", *flags, *count], stdout=subprocess.PIPE
    ) as reader:
        summed = subprocess.run(
            ["sha256sum"], stdin=reader.stdout, check=True, capture_output=True, text=True
        )
    assert reader.returncode == 0, f"reading {path} failed"
    return summed.stdout.split()[0]
