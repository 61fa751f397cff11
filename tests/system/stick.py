"""A USB stick to export: the kernel's own mass storage function on one of the cables."""

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType

from tests.system.host import wait_for_device

GADGETS = Path("/sys/kernel/config/usb_gadget")
STORE = Path("/run/gadgetip-bench")


class Stick:
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
        self.udc = udc
        self.id = f"{vendor_id:04x}:{product_id:04x}"
        self.serial = serial
        self.store = STORE / f"stick-{udc}.img"
        self._gadget = GADGETS / f"stick-{udc}"
        self._size = size_mib << 20
        self._speed = speed
        self._ids = {"idVendor": vendor_id, "idProduct": product_id, "bcdDevice": bcd_device}
        self._product = product
        self._power_ma = power_ma
        self._attributes = attributes
        self._configuration = configuration
        self._visible = visible

    def __enter__(self) -> "Stick":
        STORE.mkdir(parents=True, exist_ok=True)
        with self.store.open("wb") as store:
            store.truncate(self._size)
        self._make()
        self.plug()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()
        gadget = self._gadget
        (gadget / "configs/c.1/mass_storage.0").unlink()
        for directory in (
            "configs/c.1/strings/0x409",
            "configs/c.1",
            "functions/mass_storage.0",
            "strings/0x409",
            ".",
        ):
            if (gadget / directory).is_dir():
                (gadget / directory).resolve().rmdir()
        self.store.unlink()

    def plug(self) -> None:
        """Put the stick into the server's port and wait until the server knows it."""
        (self._gadget / "UDC").write_text(self.udc)
        if self._visible:
            self.sysfs = wait_for_device(self.udc)
            self.busid = self.sysfs.name

    def unplug(self) -> None:
        """Take the stick out; nothing happens when it is out already."""
        with contextlib.suppress(OSError):
            (self._gadget / "UDC").write_text("\n")

    def fill(self) -> None:
        """Fill the whole stick with random bytes, behind the device's back."""
        with self.store.open("r+b") as store:
            left = self._size
            while left:
                left -= store.write(os.urandom(min(left, 1 << 20)))

    def checksum(self, length: int | None = None) -> str:
        """SHA-256 of the backing store, or of its beginning."""
        return sha256(self.store, length)

    def descriptors(self) -> bytes:
        """The raw descriptors as the server's kernel read them."""
        return (self.sysfs / "descriptors").read_bytes()

    def _make(self) -> None:
        gadget = self._gadget
        gadget.mkdir()
        for name, value in self._ids.items():
            (gadget / name).write_text(hex(value))
        (gadget / "max_speed").write_text(self._speed)
        strings = gadget / "strings/0x409"
        strings.mkdir()
        (strings / "manufacturer").write_text("SanDisk")
        (strings / "product").write_text(self._product)
        if self.serial is not None:
            (strings / "serialnumber").write_text(self.serial)
        configuration = gadget / "configs/c.1"
        configuration.mkdir()
        (configuration / "MaxPower").write_text(str(self._power_ma))
        (configuration / "bmAttributes").write_text(hex(self._attributes))
        if self._configuration is not None:
            (configuration / "strings/0x409").mkdir()
            (configuration / "strings/0x409/configuration").write_text(self._configuration)
        function = gadget / "functions/mass_storage.0"
        function.mkdir()
        (function / "lun.0/removable").write_text("1")
        (function / "lun.0/file").write_text(str(self.store))
        (configuration / "mass_storage.0").symlink_to(function)


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
