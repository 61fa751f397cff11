"""Runs in the booted machine, as its own system's Python: the packages' proof with a real kernel.

The machine has a stick of QEMU's. The server of the package exports it through usbip-host; the
supervisor, which the package's udev rule starts when the controller appears, rebuilds it with
FunctionFS on dummy_hcd; the same kernel's host stack, behind it, reads and writes bytes. What was
found out goes to the second serial port, a line a step; the last says whether all went well.

Nothing else of the project is there but what the package has.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")

STICK = "46f4:0001"
PATTERN = 4096
"""The stick's n-th block of 4096 bytes begins with n, in 8 bytes; the rest is zero."""
LIMIT = 900.0  # seconds for anything awaited: a busy computer without KVM is slow

POLICY = """\
schema = "policy/1"

[serve]
stub = "kernel"

[[export]]
name = "stick"
match = { busid = "%s" }
when = "plugged"
"""
CONFIG = """\
schema = "config/1"

[[attachment]]
name = "stick"
server = "127.0.0.1"
match = { id = "46f4:0001" }
to = "gadget"
"""


def say(text: str) -> None:
    """A line for whoever waits outside."""
    with Path("/dev/ttyS1").open("w", encoding="utf-8") as port:
        port.write(f"{text}\n")


def run(*command: str, status: int = 0) -> str:
    """What a command says; an exit status that is not awaited is an error."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != status:
        raise SystemError(f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def wait_for(what: str, found: Callable[[], Found | None]) -> Found:
    """What `found` returns as soon as it is true."""
    end = time.monotonic() + LIMIT
    while not (value := found()):
        if time.monotonic() > end:
            raise SystemError(f"waited {LIMIT:.0f} s for {what}")
        time.sleep(0.2)
    return value


def disk(behind: str) -> str | None:
    """The name of the block device below a host controller whose path has this in it."""
    for path in Path("/sys/block").glob("sd*"):
        if behind in str(path.resolve()) and int((path / "size").read_text()):
            return path.name
    return None


def bus_id(behind: str) -> str | None:
    """The bus id of the stick below such a controller."""
    for path in Path("/sys/bus/usb/devices").glob("*/idVendor"):
        if behind in str(path.resolve()) and path.read_text().strip() == STICK[:4]:
            return path.parent.name
    return None


def block(name: str, number: int, content: bytes | None = None) -> bytes:
    """Read a block of a disk past all caches, or write it there."""
    with Path("/dev", name).open("r+b", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(number * PATTERN)
        if content is None:
            return file.read(PATTERN)
        file.write(content)
        os.fsync(file.fileno())
        return content


def checked(name: str) -> None:
    """Compare the replica's content with what the stick was made with."""
    for number in (0, 1, 2, 500, 1023):
        if int.from_bytes(block(name, number)[:8], "little") != number:
            raise SystemError(f"block {number} of {name} is another: {block(name, number)[:16]!r}")


def running() -> bool:
    """Whether the supervisor says so; it may not answer yet."""
    command = ["gadgetip", "--json", "status", "stick"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return '"running"' in done.stdout


def attached() -> str:
    """Wait until the replica is there and the supervisor says so; the name of its disk."""
    name = wait_for("the replica's disk", lambda: disk("dummy_hcd"))
    wait_for("the state running", running)
    checked(name)
    return name


def active(unit: str) -> str:
    """The state that systemd has a unit in."""
    return subprocess.run(
        ["systemctl", "is-active", unit], check=False, capture_output=True, text=True
    ).stdout.strip()


def prove() -> None:
    """All steps."""
    began = time.monotonic()
    said = run("gadgetip", "--version")
    if "native pump" not in said:
        raise SystemError(said)
    say(f"step Linux {os.uname().release}, {said}")

    wait_for("the stick", lambda: disk("/pci"))
    own = bus_id("/pci")
    Path("/etc/gadgetip").mkdir(exist_ok=True)
    Path("/etc/gadgetip/policy.toml").write_text(POLICY % own)
    Path("/etc/gadgetip/gadgetip.toml").write_text(CONFIG)
    run("gadgetip", "check", "/etc/gadgetip/policy.toml", "/etc/gadgetip/gadgetip.toml")
    run("systemctl", "enable", "--now", "gadgetip-serve.service")
    wait_for("usbip-host", Path(f"/sys/bus/usb/drivers/usbip-host/{own}").exists)
    say(f"step gadgetip-serve exports {own} through usbip-host")

    if active("gadgetip") == "active":
        raise SystemError("gadgetip.service runs, though there is no controller")
    run("modprobe", "dummy_hcd")
    name = attached()
    say(f"step the udev rule started gadgetip.service, {name} is the replica")
    status = json.loads(run("gadgetip", "--json", "status"))
    say(f"step status: {json.dumps(status)[:200]}")
    backend = run("find", "/sys/kernel/config/usb_gadget", "-path", "*functions/ffs.*", "-prune")
    if "ffs." not in backend:
        raise SystemError(f"no FunctionFS function: {backend}")

    content = os.urandom(PATTERN)
    block(name, 700, content)
    if block(name, 700) != content:
        raise SystemError("the replica reads something else than was written")
    say("step 4 KiB written, read back through FunctionFS")
    run("gadgetip", "doctor", "board")
    say("step gadgetip doctor board: nothing is missing")

    run("apt-get", "-q", "-y", "install", "/root/higher.deb")
    name = attached()
    if block(name, 700) != content:
        raise SystemError("what was written is gone")
    say("step upgraded while attached; the replica came back, with what was written")

    run("systemctl", "stop", "gadgetip.service")
    wait_for("the host's unplug", lambda: not disk("dummy_hcd"))
    run("modprobe", "-r", "gadgetip_gadgetfs")
    run("modprobe", "gadgetip_gadgetfs")
    version = Path("/sys/module/gadgetip_gadgetfs/version").read_text().strip()
    say(f"step gadgetip_gadgetfs {version} is loaded")

    run("systemctl", "start", "gadgetip.service")
    attached()
    run("apt-get", "-q", "-y", "purge", "gadgetip", "gadgetip-gadgetfs-dkms")
    for unit in ("gadgetip", "gadgetip-serve"):
        if active(unit) == "active":
            raise SystemError(f"{unit} runs, though the package is gone")
    left = run("find", "/usr", "/etc/systemd", "/var/lib", "-xdev", "-name", "*gadgetip*")
    gadgets = list(Path("/sys/kernel/config/usb_gadget").iterdir())
    wait_for("the host's unplug", lambda: not disk("dummy_hcd"))
    if left or gadgets:
        raise SystemError(f"left after the purge: {left} {gadgets}")
    wait_for("the stick's own driver", lambda: disk("/pci"))
    say("step purged while attached: no unit, no gadget, no file; the stick is the server's again")
    say(f"done after {time.monotonic() - began:.0f} s")


def main() -> None:
    """Prove it, say so or what went wrong, and power off."""
    try:
        prove()
    except BaseException:
        say(traceback.format_exc())
        for unit in ("gadgetip", "gadgetip-serve"):
            log = ["journalctl", "--no-pager", "-b", "-n", "40", "-u", unit]
            say(subprocess.run(log, check=False, capture_output=True, text=True).stdout)
        # Number, name, state, and how long it has computed, in hundredths of a second.
        processes = ["sh", "-c", "cat /proc/[0-9]*/stat | awk '$14 > 99 {print $1,$2,$3,$14,$15}'"]
        say(subprocess.run(processes, check=False, capture_output=True, text=True).stdout[:3000])
        say(subprocess.run(["dmesg"], check=False, capture_output=True, text=True).stdout[-4000:])
        say("failed")
    finally:
        os.sync()
        subprocess.run(["systemctl", "poweroff", "--force"], check=False)


if __name__ == "__main__":
    main()
