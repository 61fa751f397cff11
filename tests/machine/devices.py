"""The USB hardware of the bench that nobody here wrote: what QEMU emulates.

One list, `DEVICES`. To give every machine one more device, add it there; to give one machine one
more, pass `--qemu` to the command. All of them hang on one xHCI controller, so that a device which
can do SuperSpeed does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

CONTROLLER = "benchusb"


class Device(NamedTuple):
    """One emulated device: its QEMU options and the empty file behind it, if it is a disk."""

    name: str
    vendor_product: str  # by which the guest waits for it
    options: str
    backing_megabytes: int = 0

    def arguments(self, directory: Path) -> list[str]:
        """The QEMU arguments; the backing file is (made) in `directory`."""
        if not self.backing_megabytes:
            return ["-device", f"{self.options},bus={CONTROLLER}.0"]
        backing = directory / f"{self.name}.img"
        with backing.open("ab") as file:
            file.truncate(self.backing_megabytes << 20)
        path = str(backing).replace(",", ",,")
        return [
            "-drive",
            f"if=none,id={self.name},format=raw,file={path}",
            "-device",
            f"{self.options},bus={CONTROLLER}.0,drive={self.name}",
        ]


DEVICES = (
    # SuperSpeed, one LUN, bulk-only; /dev/disk/by-id/usb-…GADGETIP0001…
    Device("stick", "46f4:0001", "usb-storage,serial=GADGETIP0001", backing_megabytes=64),
    # High speed, one interrupt endpoint; `sendkey` of the monitor types on it
    Device("keyboard", "0627:0001", "usb-kbd"),
)


def arguments(directory: Path) -> list[str]:
    """The controller and everything on it."""
    words = ["-device", f"qemu-xhci,id={CONTROLLER},p2=8,p3=8"]
    for device in DEVICES:
        words += device.arguments(directory)
    return words
