"""The three clients that there are, alike for a test: `importing("vhci", exporter, busids)`.

    gadget      gadgetip attach, to a controller of this machine
    vhci        gadgetip attach --to vhci
    stock       usbip attach

All devices are attached at once where the way has room for them; what is given back is where each
of them is in the sysfs of the host. When the context ends the host has seen them go.
"""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.system import host
from tests.system.attachment import GADGETIP, Attachment
from tests.system.exporters import Exporter
from tests.system.host import PLATFORM
from tests.system.waiting import wait_for

CLIENTS = ("gadget", "vhci", "stock")
LIMIT_S = 90.0
VHCI = PLATFORM / "vhci_hcd.0"
USED = "006"


def vhci_ports() -> list[int]:
    """The ports of vhci that a device is attached to."""
    found = []
    for path in sorted(VHCI.glob("status*")):
        rows = [line.split() for line in path.read_text().splitlines()[1:]]
        found += [int(row[1]) for row in rows if row[2] == USED]
    return found


def behind_vhci(vendor_product: str) -> Path | None:
    """A configured device that this machine has imported."""
    for path in sorted(PLATFORM.glob("vhci_hcd.*/usb*/[0-9]*-[0-9]*")):
        with contextlib.suppress(OSError):
            identity = [(path / name).read_text().strip() for name in ("idVendor", "idProduct")]
            configured = (path / "bConfigurationValue").read_text().strip()
            if ":".join(identity) == vendor_product and configured:
                return path
    return None


def wait_for_vhci(vendor_product: str) -> Path:
    """Wait until the host has configured it."""
    return wait_for(
        lambda: behind_vhci(vendor_product), f"{vendor_product} behind vhci", host.STACK_LIMIT_S
    )


def _run(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: "subprocess.Popen[str]") -> None:
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, f"{process.args!r}: {said}"


@contextmanager
def _vhci(
    exporter: Exporter, devices: Mapping[str, str], *, own: bool
) -> Iterator[dict[str, Path]]:
    """Through vhci, by our own command or the stock tool's."""
    port = str(exporter.port)
    try:
        if own:
            commands = [
                [*GADGETIP, "attach", exporter.host, busid, "--to", "vhci"] for busid in devices
            ]
            for process in [_run(*command) for command in commands]:
                _finish(process)
        else:
            for busid, identity in devices.items():
                _finish(_run("usbip", "--tcp-port", port, "attach", "-r", "127.0.0.1", "-b", busid))
                # Stock usbip cannot open vhci while a device there is not in sysfs yet.
                wait_for_vhci(identity)
        yield {busid: wait_for_vhci(identity) for busid, identity in devices.items()}
    finally:
        if own:
            _finish(_run(*GADGETIP, "detach", "--all"))
        else:
            for number in vhci_ports():
                _finish(_run("usbip", "detach", "-p", str(number)))
        wait_for(lambda: not vhci_ports(), "free ports of vhci", LIMIT_S)
        for identity in devices.values():
            wait_for(lambda: behind_vhci(identity) is None, f"{identity} gone", LIMIT_S)  # noqa: B023


@contextmanager
def _gadgets(
    exporter: Exporter, devices: Mapping[str, str], udcs: tuple[str, ...]
) -> Iterator[dict[str, Path]]:
    """As replicas, each on a controller of its own."""
    with ExitStack() as stack:
        attachments = {
            busid: Attachment(exporter.host, busid, udc=udc)
            for busid, udc in zip(devices, udcs, strict=True)
        }
        for attachment in attachments.values():
            stack.enter_context(attachment)
        yield {
            busid: host.wait_for_device(attachment.udc) for busid, attachment in attachments.items()
        }


@contextmanager
def importing(
    client: str, exporter: Exporter, devices: Mapping[str, str], udcs: tuple[str, ...] = ()
) -> Iterator[dict[str, Path]]:
    """Attach these (bus id: VID:PID) by one of the clients; `udcs` are for replicas."""
    if client == "gadget":
        with _gadgets(exporter, devices, udcs) as found:
            yield found
    else:
        with _vhci(exporter, devices, own=client == "vhci") as found:
            yield found
