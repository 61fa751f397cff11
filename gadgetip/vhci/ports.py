"""The ports of vhci_hcd, as its sysfs files show them.

All controllers answer through the attributes of the first (drivers/usb/usbip/vhci_sysfs.c): the
files `status`, `status.1`, ... have a row for each port, and `attach` takes "port socket devid
speed". A port is for high speed and below ("hs") or for SuperSpeed ("ss"). Two programs may pick
the same free port; the kernel answers EBUSY to the second, which takes the next.
"""

import contextlib
import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.usb import Speed

CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")


class PortStatus(IntEnum):
    """State of a port (include/uapi/linux/usbip.h, enum usbip_device_status)."""

    FREE = 4
    NOT_ASSIGNED = 5
    USED = 6
    ERROR = 7


@dataclass(frozen=True, slots=True)
class VhciPort:
    """One port; `local_busid` is what the device is called on this machine, "0-0" without one."""

    number: int
    is_superspeed: bool
    status: PortStatus
    speed: Speed
    devid: int
    local_busid: str


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


def parse_status(text: str) -> list[VhciPort]:
    """Read one `status` file; rows of a controller that is not ready are left out."""
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
                )
            )
        except ValueError:
            continue
    return ports


def list_ports() -> list[VhciPort]:
    """All ports of all controllers."""
    ports: list[VhciPort] = []
    for path in sorted(CONTROLLER.glob("status*"), key=lambda p: (len(p.name), p.name)):
        ports.extend(parse_status(path.read_text()))
    return ports


def attach_stream(stream: socket.socket, devid: int, speed: Speed) -> VhciPort:
    """Hand a stream that carries an imported device to the kernel; returns the port it took."""
    superspeed = speed >= Speed.SUPER
    for port in _free_ports(superspeed):
        try:
            (CONTROLLER / "attach").write_text(
                f"{port.number} {stream.fileno()} {devid} {int(speed)}"
            )
        except OSError as error:
            if error.errno == errno.EBUSY:
                continue
            raise GadgetipError(f"vhci_hcd refused the device: {error.strerror}") from None
        return port
    kind = "SuperSpeed" if superspeed else "high-speed"
    total = sum(p.is_superspeed == superspeed for p in list_ports())
    raise GadgetipError(f"all {total} {kind} ports of vhci_hcd are taken: detach a device first")


def _free_ports(superspeed: bool) -> Iterator[VhciPort]:
    for port in list_ports():
        if port.is_superspeed == superspeed and port.status is PortStatus.FREE:
            yield port
