"""The sections of a report: what each is called, and how this machine is asked for it.

A section is a title and a function that gives its text. None changes anything; each is bounded by
what it reads; one that fails says so in its place and the others go on. What is private is taken
out afterwards, from all of them together.
"""

import datetime as dt
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gadgetip import __version__
from gadgetip.diagnosis.doctor import diagnose
from gadgetip.diagnosis.gather_board import GADGETS, SYSFS_UDC
from gadgetip.diagnosis.gather_machine import read_device_tree_model
from gadgetip.diagnosis.kernel_texts import parse_device_tree_text
from gadgetip.diagnosis.system_files import children, output_of, read_text
from gadgetip.errors import GadgetipError
from gadgetip.pump.native_module import pump_in
from gadgetip.server.inventory import read_inventory
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.surroundings import SERVE
from gadgetip.service.asking import Service, ask
from gadgetip.vhci import CONTROLLER

PACKAGES = ("click", "functionfs", "libaio", "libusb1", "pyudev")
SUPERVISOR = Service(Path("/run/gadgetip/supervisor.sock"), "gadgetip run", "gadgetip")
CONFIGURATION = Path("/etc/gadgetip")
ATTACHMENTS = Path("/run/gadgetip/attachments")
ANSWER_LIMIT_S = 5.0
FILE_LIMIT_BYTES = 64 * 1024
FILES_LIMIT = 100
JOURNAL_LINES = 500
KERNEL_LINES = 800
TREE_DEPTH = 6
USB_WORDS = (
    *("usb", "udc", "dwc2", "dwc3", "musb", "gadget", "vhci", "configfs", "dummy_hcd", "hcd"),
    *("functionfs", "hidraw", "scsi", "cdc_"),
)
"""A line of the kernel log with one of these concerns USB."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report; `name` is a file's where each is one."""

    name: str
    title: str
    text: Callable[[], str]


def machine_text() -> str:
    """Versions: of gadgetip, of what it stands on, of the kernel and the distribution."""
    distribution = next(
        (
            line.partition("=")[2].strip('"')
            for line in read_text("/etc/os-release").splitlines()
            if line.startswith("PRETTY_NAME=")
        ),
        "unknown",
    )
    lines = [
        f"gadgetip {__version__}, Python {platform.python_version()}",
        pump_in(),
        *(f"{name} {_version(name)}" for name in PACKAGES),
        f"kernel {os.uname().release} {os.uname().version} {os.uname().machine}",
        f"distribution {distribution}",
        f"machine {parse_device_tree_text(read_device_tree_model()) or 'without a device tree'}",
        f"at {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"up {read_text('/proc/uptime').partition(' ')[0] or '?'} s",
        f"as {'root' if os.geteuid() == 0 else 'a user without root: parts are missing'}",
    ]
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def doctor_text() -> str:
    """Every finding of the doctor, in every role that this machine can play."""
    diagnosis = diagnose()
    lines = [f"roles: {', '.join(diagnosis.roles)}"]
    for each in diagnosis.findings:
        lines.append(f"{each.state:8}{each.role}, {each.subject}: {each.found}")
        if each.remedy:
            lines.append(f"          -> {each.remedy}")
    return "\n".join(lines)


def modules_text() -> str:
    """The loaded modules that have to do with USB, with their versions and parameters."""
    lines = []
    for line in read_text("/proc/modules").splitlines():
        name = line.partition(" ")[0]
        directory = Path("/sys/module") / name
        if not concerns_usb(line):
            continue
        parameters = [
            f"{path.name}={read_text(path, 200).strip()}"
            for path in children(directory / "parameters")
        ]
        number = read_text(directory / "version", 200).strip()
        lines.append(" ".join([name, number, *parameters]))
    return "\n".join(lines)


def controllers_text() -> str:
    """The device controllers, with all that sysfs says of them."""
    return "\n".join(line for path in children(SYSFS_UDC) for line in _attributes(path))


def devices_text() -> str:
    """What is plugged in, as a tree: hubs and ports by their bus ids."""
    return "\n".join(_device_line(each) for each in read_inventory())


def _device_line(device: LocalDevice) -> str:
    drivers = dict.fromkeys(i.driver or "-" for i in device.interfaces)
    words = [
        "  " * device.busid.count(".") + device.busid,
        device.id,
        device.speed.mbps_text,
        "+".join(device.classes),
        f"driver={device.driver}/{','.join(drivers)}",
        f"bcdDevice={device.bcdDevice:04x}",
        f"{device.manufacturer or ''} {device.product or ''}".strip(),
    ]
    if device.serial and not device.busid.startswith("usb"):
        words.append(f"serial={json.dumps(device.serial)}")
    if device.stub_status is not None:
        words.append(f"usbip_status={device.stub_status}")
    return "  ".join(word for word in words if word)


def gadgets_text() -> str:
    """The gadgets in configfs: every attribute, every link."""
    return "\n".join(_tree(GADGETS))


def _tree(directory: Path, depth: int = 0) -> Iterator[str]:
    for path in children(directory)[:FILES_LIMIT]:
        indent = "  " * depth
        if path.is_symlink():
            yield f"{indent}{path.name} -> {path.resolve().name}"
        elif path.is_dir() and depth < TREE_DEPTH:
            yield f"{indent}{path.name}/"
            yield from _tree(path, depth + 1)
        elif not path.is_dir():
            key = "serial" if path.name == "serialnumber" else path.name
            yield f"{indent}{key} = {json.dumps(read_text(path, 300).strip())}"


def _attributes(directory: Path) -> Iterator[str]:
    yield f"{directory.name}/"
    for path in children(directory):
        if path.is_file() and path.name != "uevent":
            yield f"  {path.name} = {json.dumps(read_text(path, 300).strip())}"


def ports_text() -> str:
    """The ports of vhci_hcd, in the kernel's own words, without those that are free."""
    texts = [read_text(path) for path in sorted(CONTROLLER.glob("status*"))]
    rows = [line for text in texts for line in text.splitlines()]
    return "\n".join(row for row in rows if row.split()[2:3] != ["004"])


def running_text() -> str:
    """What runs: attachments in the foreground, the supervisor, serve."""
    return "\n".join(
        [
            *(f"{path.name}: {read_text(path, 4096)}" for path in children(ATTACHMENTS)),
            _told_by(SUPERVISOR, "status"),
            _told_by(SERVE, "state"),
        ]
    )


def _told_by(service: Service, command: str) -> str:
    try:
        told = ask(service, {"command": command}, ANSWER_LIMIT_S)
    except GadgetipError as error:
        return str(error)
    if told is None:
        return f"{service.command} does not run, or we may not ask"
    return f"{service.command}: {json.dumps(told, indent=1)}"


def files_text() -> str:
    """The configuration, the policy and the profiles of this machine, as they are."""
    return "\n".join(
        f"--- {path}\n{whole_lines(read_text(path, FILE_LIMIT_BYTES), FILE_LIMIT_BYTES)}"
        for path in sorted(CONFIGURATION.rglob("*"))[:FILES_LIMIT]
        if path.is_file() and path.suffix in {".toml", ".conf"}
    )


def whole_lines(text: str, limit: int) -> str:
    """Without the last line where the limit cut it: half a serial number is not recognised."""
    return text.rpartition("\n")[0] if len(text.encode()) >= limit else text


def journal_text() -> str:
    """The last lines that our units wrote."""
    return output_of(
        *("journalctl", "--no-pager", "--quiet", "-o", "short-iso-precise"),
        *("-u", "gadgetip*", "-n", str(JOURNAL_LINES)),
    )


def kernel_log_text() -> str:
    """The last lines of the kernel log that concern USB; only root may read it on many machines."""
    log = output_of("dmesg") or output_of("journalctl", "--no-pager", "--quiet", "-k", "-n", "4000")
    return "\n".join([line for line in log.splitlines() if concerns_usb(line)][-KERNEL_LINES:])


def concerns_usb(line: str) -> bool:
    """Whether a line of the kernel's is about USB."""
    lower = line.lower()
    return any(word in lower for word in USB_WORDS)


SECTIONS = (
    Section("machine", "Machine", machine_text),
    Section("doctor", "Doctor", doctor_text),
    Section("running", "What runs", running_text),
    Section("controllers", "Device controllers", controllers_text),
    Section("gadgets", "Gadgets in configfs", gadgets_text),
    Section("devices", "USB devices", devices_text),
    Section("ports", "vhci ports that are not free", ports_text),
    Section("modules", "Kernel modules", modules_text),
    Section("files", "Files in /etc/gadgetip", files_text),
    Section("journal", "Journal of gadgetip's units", journal_text),
    Section("kernel", "Kernel log, lines about USB", kernel_log_text),
)
