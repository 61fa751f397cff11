"""The USB hardware of the bench that nobody here wrote: what QEMU emulates.

One list, `DEVICES`. To give every machine one more device, add it there; to give one machine one
more, pass `--qemu` to the command. All of them hang on one xHCI controller, so that a device which
can do SuperSpeed does it, unless it is plugged into one of the ports that have no SuperSpeed.

The serial adapter's far end is a port of the guest itself, `SERIAL_FAR_END` among the names in
/sys/class/virtio-ports: what is written into one comes out of the other. QEMU blocks as a whole
while the reading side is full, so let no more than a few KiB be under way in either direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

CONTROLLER = "benchusb"
PORTS = 12
SUPERSPEED_PORTS = 4  # the first of them
SERIAL_FAR_END = "gadgetip.serial"


class Device(NamedTuple):
    """One emulated device: its QEMU options and the empty file behind it, if it is a disk."""

    name: str
    vendor_product: str  # by which the guest waits for it
    options: str
    backing_megabytes: int = 0
    before: tuple[str, ...] = ()  # QEMU arguments for what the device is connected to; {} is
    after: tuple[str, ...] = ()  # a directory that lives as long as the machine

    def arguments(self, directory: Path) -> list[str]:
        """The QEMU arguments; the backing file is (made) in `directory`."""
        place = str(directory).replace(",", ",,")
        before = [word.replace("{}", place) for word in self.before]
        after = [word.replace("{}", place) for word in self.after]
        options = f"{self.options},bus={CONTROLLER}.0"
        if not self.backing_megabytes:
            return [*before, "-device", options, *after]
        with (directory / f"{self.name}.img").open("ab") as file:
            file.truncate(self.backing_megabytes << 20)
        drive = f"if=none,id={self.name},format=raw,file={place}/{self.name}.img"
        # A disk behind a SCSI bus of its own is given to what comes after the device.
        direct = "" if after else f",drive={self.name}"
        return [*before, "-drive", drive, "-device", options + direct, *after]


DEVICES = (
    # SuperSpeed, one LUN, bulk-only; /dev/disk/by-id/usb-…GADGETIP0001…
    Device("stick", "46f4:0001", "usb-storage,serial=GADGETIP0001", backing_megabytes=64),
    # High speed, one interrupt endpoint; `sendkey` of the monitor types on it
    Device("keyboard", "0627:0001", "usb-kbd"),
    # The same with three buttons
    Device("mouse", "0627:0001", "usb-mouse"),
    # FTDI's vendor class, full speed
    Device(
        "serial",
        "0403:6001",
        "usb-serial,chardev=serialnear,always-plugged=on",
        before=(
            *("-chardev", "socket,id=serialfar,path={}/serial.sock,server=on,wait=off"),
            *("-chardev", "socket,id=serialnear,path={}/serial.sock"),
            *(
                "-device",
                f"virtserialport,bus=benchports.0,chardev=serialfar,name={SERIAL_FAR_END}",
            ),
        ),
    ),
    # USB Attached SCSI without streams: four bulk pipes at high speed
    Device(
        "uas",
        "46f4:0003",
        f"usb-uas,id=uasbus,serial=GADGETIP0003,port={PORTS}",
        backing_megabytes=32,
        after=("-device", "scsi-hd,bus=uasbus.0,drive=uas"),
    ),
    # A smart card reader: bulk pair and an interrupt endpoint, class descriptor of 54 bytes
    Device("ccid", "08e6:4433", "usb-ccid"),
    # RNDIS and CDC Ethernet as two configurations, full speed; 10.0.2.2 answers there
    Device(
        "net",
        "0525:a4a2",
        "usb-net,netdev=usbnet",
        before=("-netdev", "user,id=usbnet,restrict=on"),
    ),
)


def arguments(directory: Path) -> list[str]:
    """The controller and everything on it."""
    words = ["-device", f"qemu-xhci,id={CONTROLLER},p2={PORTS},p3={SUPERSPEED_PORTS}"]
    for device in DEVICES:
        words += device.arguments(directory)
    return words
