"""What the host at the end of a cable sees: the devices behind one host controller."""

import os
import re
import subprocess
from pathlib import Path

from tests.system.waiting import wait_for

PLATFORM = Path("/sys/devices/platform")
STACK_LIMIT_S = 40.0


def device_behind(controller: str) -> Path | None:
    """The sysfs directory of the device that is plugged into this controller, if any."""
    for path in sorted((PLATFORM / controller).glob("usb*/[0-9]*-[0-9]*")):
        if (path / "idVendor").exists() and ":" not in path.name:
            return path
    return None


def controller_of(udc: str) -> str:
    """The host controller at the other end of a dummy cable."""
    return udc.replace("dummy_udc", "dummy_hcd").replace("usbip-vudc", "vhci_hcd")


def wait_for_device(udc: str) -> Path:
    """Wait until the host has configured what is on this controller."""

    def configured() -> Path | None:
        path = device_behind(controller_of(udc))
        try:
            return path if path and (path / "bConfigurationValue").read_text().strip() else None
        except OSError:
            return None

    return wait_for(configured, f"a configured device behind {udc}", STACK_LIMIT_S)


def wait_for_disk(udc: str) -> Path:
    """Wait for the disk of a mass storage device; returns its /dev node."""

    def disk() -> Path | None:
        path = device_behind(controller_of(udc))
        return disk_of(path) if path else None

    return wait_for(disk, f"a disk behind {udc}", STACK_LIMIT_S)


def disk_of(device: Path) -> Path | None:
    """The whole-disk node of a USB device, once it has a capacity and can be opened.

    The kernel shows a new disk in sysfs and makes its node before it can be opened: ENXIO until
    then (block/genhd.c, device_add_disk).
    """
    for block in device.glob("*/host*/target*/*/block/sd*"):
        node = Path("/dev") / block.name
        try:
            if int((block / "size").read_text()) > 0:
                os.close(os.open(node, os.O_RDONLY))
                return node
        except OSError:
            continue
    return None


def wait_for_unplug(udc: str, limit_s: float = 20.0) -> None:
    """Wait until the host sees nothing on this controller any more."""
    controller = controller_of(udc)
    wait_for(lambda: device_behind(controller) is None, f"an unplug at {udc}", limit_s)


def descriptors(device: Path) -> bytes:
    """The raw device and configuration descriptors, as the host read them."""
    return (device / "descriptors").read_bytes()


def kernel_log() -> list[str]:
    """The guest's kernel log so far."""
    return subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout.splitlines()


def complaints(since: int, device: str) -> list[str]:
    """Lines after line `since` in which the host's stack complains about its end of the cable."""
    pattern = re.compile(
        rf"(usb {re.escape(device)}: (reset|device descriptor|USB disconnect)|timed? ?out|I/O error"
        r"|uas_eh|Sense Key : Aborted|blocked for more than)",
        re.IGNORECASE,
    )
    return [line for line in kernel_log()[since:] if pattern.search(line)]


def wait_until_nothing_hangs(limit_s: float = 15.0) -> None:
    """Wait until every task that is in uninterruptible sleep now has been awake.

    Unplugging puts some to sleep for a moment, and a busy guest always has one: what hangs is a
    task that does not wake up.
    """
    asleep = sleeping_tasks()

    def all_woke_up() -> bool:
        now = sleeping_tasks()
        for task in [task for task in asleep if now.get(task) != asleep[task]]:
            del asleep[task]
        return not asleep

    try:
        wait_for(all_woke_up, "an end of uninterruptible sleep", limit_s)
    except AssertionError as error:
        log = "\n".join(kernel_log()[-40:])
        raise AssertionError(f"{error}: {asleep}; kernel log:\n{log}") from None


def sleeping_tasks() -> dict[str, str]:
    """Tasks in uninterruptible sleep: how often each has been awake, by its id and name."""
    tasks = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(r"^State:\s+D", text, re.MULTILINE):
            name = text.splitlines()[0].partition(":")[2].strip()
            switches = re.findall(r"ctxt_switches:\s+(\d+)", text)
            tasks[f"{status.parent.name} {name}"] = "+".join(switches)
    return tasks
