"""The ports of vhci_hcd, as its sysfs files show them.

All controllers answer through the attributes of the first (drivers/usb/usbip/vhci_sysfs.c): the
files `status`, `status.1`, ... have a row for each port, `attach` takes "port socket devid speed",
`detach` a port. A port is for high speed and below ("hs") or for SuperSpeed ("ss"). Two programs
may pick the same free port; the kernel answers EBUSY to the second, which takes the next.

How many ports there are was decided when the kernel was built (CONFIG_USBIP_VHCI_HC_PORTS of each
kind and controller, CONFIG_USBIP_VHCI_NR_HCS controllers); the module has no parameter for it.
Ports of a later controller are used as soon as those of the first are taken.
"""

import contextlib
import errno
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.usb import Speed

CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
NO_DEVICE = "0-0"
ATTACH_ROUNDS = 5
FREE_LIMIT_S = 10.0
FREE_POLL_S = 0.05


class PortStatus(IntEnum):
    """State of a port (include/uapi/linux/usbip.h, enum usbip_device_status)."""

    FREE = 4
    NOT_ASSIGNED = 5
    USED = 6
    ERROR = 7


@dataclass(frozen=True, slots=True)
class VhciPort:
    """One port; `local_busid` is what the device is called on this machine, "0-0" without one.

    `speed`, `devid` and `local_busid` are shown once the device has an address (`USED`); until
    then, and for good if it never answers, a taken port is `NOT_ASSIGNED`.
    """

    number: int
    is_superspeed: bool
    status: PortStatus
    speed: Speed
    devid: int
    local_busid: str
    controller: int = 0

    @property
    def is_free(self) -> bool:
        """Whether a device can be attached to it."""
        return self.status is PortStatus.FREE


def require_vhci() -> None:
    """Load vhci_hcd if need be; raises `PrerequisiteError` that says what to do."""
    if os.geteuid() != 0:
        raise PrerequisiteError("attaching needs root: try again with sudo")
    if not CONTROLLER.is_dir():
        with contextlib.suppress(OSError):
            subprocess.run(["modprobe", "-q", "vhci-hcd"], check=False, capture_output=True)
    if not CONTROLLER.is_dir():
        raise PrerequisiteError(
            "the kernel module vhci_hcd is not loaded: modprobe vhci-hcd (as root)"
        )


def parse_status(text: str, controller: int = 0) -> list[VhciPort]:
    """Read one `status` file; what is no row is left out.

    A controller that is not ready shows its ports as `NOT_ASSIGNED`, with a wider socket field.
    """
    ports = []
    for row in text.splitlines():
        fields = row.split()
        if len(fields) != 7 or fields[0] not in {"hs", "ss"}:
            continue
        try:
            ports.append(
                VhciPort(
                    number=int(fields[1]),
                    is_superspeed=fields[0] == "ss",
                    status=PortStatus(int(fields[2])),
                    speed=Speed(int(fields[3])),
                    devid=int(fields[4], 16),
                    local_busid=fields[6],
                    controller=controller,
                )
            )
        except ValueError:
            continue
    return ports


def list_ports() -> list[VhciPort]:
    """All ports of all controllers; none where the module is not loaded."""
    ports: list[VhciPort] = []
    for path in sorted(CONTROLLER.glob("status*"), key=lambda p: (len(p.name), p.name)):
        number = path.name.partition(".")[2]
        if number and not number.isdecimal():
            continue
        with contextlib.suppress(FileNotFoundError):  # the module was unloaded under us
            ports.extend(parse_status(path.read_text(), int(number or 0)))
    return ports


def port_numbered(number: int) -> VhciPort | None:
    """How a port is now; None if there is no such port."""
    return next((port for port in list_ports() if port.number == number), None)


def port_now(port: VhciPort) -> VhciPort | None:
    """How this port is now; reads the rows of its own controller only."""
    name = f"status.{port.controller}" if port.controller else "status"
    try:
        rows = parse_status((CONTROLLER / name).read_text(), port.controller)
    except FileNotFoundError:
        return None
    return next((row for row in rows if row.number == port.number), None)


def attach_stream(stream: socket.socket, devid: int, speed: Speed) -> VhciPort:
    """Hand a stream that carries an imported device to the kernel; returns the port it took.

    Raises `GadgetipError` when every port is taken, or what the kernel has against the stream.
    """
    superspeed = speed >= Speed.SUPER
    for _ in range(ATTACH_ROUNDS):  # a round that loses every race starts again
        free = [p for p in list_ports() if p.is_superspeed == superspeed and p.is_free]
        if not free:
            break
        for port in free:
            try:
                (CONTROLLER / "attach").write_text(
                    f"{port.number} {stream.fileno()} {devid} {int(speed)}"
                )
            except OSError as error:
                if error.errno == errno.EBUSY:
                    continue
                raise GadgetipError(f"vhci_hcd refused the device: {error.strerror}") from None
            return port
    raise _no_free_port(superspeed)


def detach_port(number: int) -> bool:
    """Detach what is on a port and wait until it is free; False if it was free already.

    Raises `GadgetipError` if there is no such port, the kernel refuses, or the port is not free
    after `FREE_LIMIT_S` seconds.
    """
    port = port_numbered(number)
    if port is None:
        total = len(list_ports())
        raise GadgetipError(
            f"vhci_hcd has no port {number}: it has {total}, 0 to {total - 1}"
            if total
            else "the kernel module vhci_hcd is not loaded: nothing is attached"
        )
    if port.is_free:
        return False
    try:
        (CONTROLLER / "detach").write_text(str(number))
    except PermissionError:
        raise PrerequisiteError("detaching needs root: try again with sudo") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # it became free meanwhile
            return False
        raise GadgetipError(f"vhci_hcd does not detach port {number}: {error.strerror}") from None
    wait_until_free(number)
    return True


def wait_until_free(number: int, limit_s: float = FREE_LIMIT_S) -> None:
    """Wait until the kernel has let go of what was on a port; raises `GadgetipError`."""
    deadline = time.monotonic() + limit_s
    while (port := port_numbered(number)) is not None and not port.is_free:
        if time.monotonic() >= deadline:
            raise held_by_a_driver(number, limit_s)
        time.sleep(FREE_POLL_S)


def held_by_a_driver(number: int, limit_s: float) -> GadgetipError:
    """The error for a port that the kernel has not let go of within so many seconds."""
    return GadgetipError(
        f"port {number} is not free {limit_s:.0f} s after it was detached: a driver of this "
        "machine still holds the device (dmesg may say which)"
    )


def _no_free_port(superspeed: bool) -> GadgetipError:
    ports = list_ports()
    total = sum(port.is_superspeed == superspeed for port in ports)
    kind = "SuperSpeed" if superspeed else "high-speed"
    controllers = len({port.controller for port in ports})
    return GadgetipError(
        f"all {total} {kind} ports of vhci_hcd are taken ({controllers} "
        f"controller{'s' * (controllers != 1)}): detach a device first (`gadgetip ports` lists "
        "them); more ports need a kernel that is built with more "
        "(CONFIG_USBIP_VHCI_HC_PORTS up to 15, CONFIG_USBIP_VHCI_NR_HCS up to 128)"
    )
