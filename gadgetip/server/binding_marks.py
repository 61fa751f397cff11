"""A mark on a device that was bound by hand, and which device it means.

A mark names a device by its id and serial number, or by its id and port where it has no serial
number of its own. A mark by serial number also remembers the port: cheap devices share one serial
number among all copies, and where several are plugged in, the mark means the one at its port and no
other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gadgetip.server.local_device import LocalDevice

MAX_SERIAL_CHARACTERS = 126  # include/uapi/linux/usb/ch9.h, USB_MAX_STRING_LEN


@dataclass(frozen=True, slots=True)
class Binding:
    """One mark. Without `serial` the device at `busid` is meant, as long as it has this id."""

    id: str
    """VID:PID in lower case."""
    serial: str | None = None
    busid: str | None = None
    """The port; beside a serial number, where the device was when it was bound."""
    forced: bool = False
    """Bound although there was a reason to keep it here."""
    once: bool = False
    """Until the next reboot."""

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """What no two marks have in common."""
        return (self.id, self.serial, None if self.serial else self.busid)

    def fits(self, device: LocalDevice) -> bool:
        """Whether this may be the device that is meant."""
        if device.id != self.id:
            return False
        if self.serial is not None:
            return device.serial == self.serial
        return device.busid == self.busid

    def __str__(self) -> str:
        if self.serial is not None:
            return f"{self.id} serial={self.serial}"
        return f"{self.id} at {self.busid}"


@dataclass(frozen=True, slots=True)
class Bindings:
    """All marks; no two have the same key."""

    marks: tuple[Binding, ...] = ()

    def __iter__(self) -> Iterator[Binding]:
        return iter(self.marks)

    def __len__(self) -> int:
        return len(self.marks)

    def of(self, device: LocalDevice, devices: Sequence[LocalDevice]) -> Binding | None:
        """The mark that means this one of the devices that are plugged in."""
        # By port first: it was made because the serial number did not tell.
        for mark in sorted(self.marks, key=lambda mark: mark.serial is not None):
            if mark.fits(device) and device in meant_by(mark, devices):
                return mark
        return None


def meant_by(mark: Binding, devices: Sequence[LocalDevice]) -> tuple[LocalDevice, ...]:
    """The device that a mark means, of those that are plugged in; () where that cannot be told."""
    fitting = tuple(device for device in devices if mark.fits(device))
    if len(fitting) > 1:
        return tuple(device for device in fitting if device.busid == mark.busid)
    return fitting


def binding_for(
    device: LocalDevice,
    devices: Sequence[LocalDevice],
    *,
    forced: bool = False,
    once: bool = False,
) -> Binding:
    """The mark to be made for this device, told from the others as well as it can be."""
    serial = device.serial
    if serial is not None and (
        len(serial) > MAX_SERIAL_CHARACTERS
        or any(
            other.id == device.id and other.serial == serial
            for other in devices
            if other.busid != device.busid
        )
    ):
        serial = None
    return Binding(device.id, serial, device.busid, forced, once)
