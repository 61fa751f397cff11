"""What this machine's kernel read from a device on a port."""

from dataclasses import dataclass
from pathlib import Path

from gadgetip.vhci.ports import NO_DEVICE

DEVICES = Path("/sys/bus/usb/devices")
VALUE_LIMIT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class LocalName:
    """A device in this machine's words: VID:PID, and its own names, which may be anything."""

    id: str
    name: str


def local_name(local_busid: str) -> LocalName | None:
    """How this machine knows the device with this local bus id; None if it does not."""
    if local_busid == NO_DEVICE or "/" in local_busid:
        return None
    directory = DEVICES / local_busid
    vendor, product = _value(directory / "idVendor"), _value(directory / "idProduct")
    if not vendor or not product:
        return None
    words = (_value(directory / "manufacturer"), _value(directory / "product"))
    return LocalName(f"{vendor}:{product}", " ".join(word for word in words if word))


def _value(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(VALUE_LIMIT_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""
