"""What the agent does to the guest itself: mounts, kernel settings, and a look at what hangs."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine.devices import DEVICES

if TYPE_CHECKING:
    from collections.abc import Iterator

USB = Path("/sys/bus/usb/devices")
USB_LIMIT = 20.0  # seconds for the emulated devices to appear

HOME = Path("/run/gadgetip-bench/home")

MOUNTS = (
    ("configfs", Path("/sys/kernel/config")),
    ("debugfs", Path("/sys/kernel/debug")),
    ("tracefs", Path("/sys/kernel/tracing")),
)

SETTINGS = {
    "kernel/printk": "7 4 1 7",  # everything but debug messages reaches the console
    "kernel/sysrq": "1",
    "kernel/hung_task_timeout_secs": "60",
    "kernel/unknown_nmi_panic": "1",  # the last resort of a guest that answers nothing
}


def set_up() -> None:
    """Make the guest what the tests expect, before the first command."""
    HOME.mkdir(parents=True, exist_ok=True)
    subprocess.run(["modprobe", "configfs"], check=True)
    for kind, where in MOUNTS:
        if not where.is_mount():
            subprocess.run(["mount", "-t", kind, kind, str(where)], check=True)
    for name, value in SETTINGS.items():
        Path("/proc/sys", name).write_text(f"{value}\n")
    wait_for_devices()


def wait_for_devices() -> None:
    """Return when the hardware of every machine is there, with its device nodes.

    A boot waits for what it finds; USB devices are found later.
    """
    awaited = {device.vendor_product for device in DEVICES}
    deadline = time.monotonic() + USB_LIMIT
    while missing := awaited - {_identity(device) for device in USB.iterdir()}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the emulated USB devices {sorted(missing)} did not appear")
        time.sleep(0.1)
    subprocess.run(["udevadm", "settle"], check=True)


def press_sysrq(*keys: str) -> None:
    """As the key does: w lists blocked tasks, l every processor's stack, in the kernel log."""
    for key in keys:
        Path("/proc/sysrq-trigger").write_text(key)


def where_it_hangs(command: int | None) -> str:
    """The kernel's side of the running command's processes and of every task that is blocked."""
    tree = set() if command is None else set(_descendants(command))
    lines = []
    for process in _processes():
        for task in _tasks(process):
            state = _field(task / "status", "State:")
            if process in tree or state.startswith("D"):
                lines += _describe(task, state)
    return "\n".join(lines) or "no command runs and no task is blocked"


def _identity(device: Path) -> str:
    return f"{_read(device / 'idVendor').strip()}:{_read(device / 'idProduct').strip()}"


def _describe(task: Path, state: str) -> list[str]:
    words = _read(task.parent.parent / "cmdline").replace("\0", " ").strip()
    where = _read(task / "wchan") or "?"
    who = f"task {task.name} ({_read(task / 'comm').strip()})"
    lines = [f"{who}, {state}, waits in {where}: {words or 'a kernel thread'}"]
    lines += [f"    {frame}" for frame in _read(task / "stack").splitlines()]
    return lines


def _processes() -> Iterator[int]:
    yield from sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _tasks(process: int) -> list[Path]:
    try:
        return sorted(Path(f"/proc/{process}/task").iterdir())
    except OSError:  # it ended meanwhile
        return []


def _descendants(root: int) -> Iterator[int]:
    parents = {
        process: _field(Path(f"/proc/{process}/status"), "PPid:") for process in _processes()
    }
    found = [root]
    while found:
        process = found.pop()
        yield process
        found += [child for child, parent in parents.items() if parent == str(process)]


def _field(path: Path, name: str) -> str:
    for line in _read(path).splitlines():
        if line.startswith(name):
            return line.removeprefix(name).strip()
    return "?"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
