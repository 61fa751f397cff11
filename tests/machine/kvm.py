"""Whether hardware virtualisation works here, found out by booting a guest with it.

A /dev/kvm that opens proves nothing: nested virtualisation is often announced and broken, and QEMU
then aborts or the guest hangs. So one small boot with a limit decides. The verdict is kept until
the computer is rebooted or QEMU changes. `GADGETIP_KVM=yes` or `no` decides without a boot.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import boot, places
from tests.machine.client import MachineGone

if TYPE_CHECKING:
    from tests.machine.kernel import Kernel

DEVICE = Path("/dev/kvm")
PROBE_LIMIT = 40.0  # seconds; a guest with working KVM is up in about 5


def usable(kernel: Kernel) -> bool:
    """Whether to boot with KVM."""
    decided = os.environ.get("GADGETIP_KVM")
    if decided:
        return decided == "yes"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    key = _key()
    path = places.cache() / "kvm.json"
    verdict = remembered(path, key)
    if verdict is None:
        print("kvm: /dev/kvm opens; booting a guest with it to see whether it works", flush=True)
        verdict = _boots(kernel)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"key": key, "works": verdict}))
        temporary.replace(path)
        print(f"kvm: {'works' if verdict else 'does not work, going on without'}", flush=True)
    return verdict


def remembered(path: Path, key: str) -> bool | None:
    """The verdict of the same computer, boot and QEMU, if there is one."""
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return bool(kept["works"]) if kept.get("key") == key else None


def _key() -> str:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[0]
    return f"{boot_id} {version}"


def _boots(kernel: Kernel) -> bool:
    with tempfile.TemporaryDirectory(prefix="gadgetip-kvm-") as scratch:
        directory = Path(scratch)
        hardware = boot.Hardware(kernel, kvm=True)
        machine = boot.start(directory, hardware, results=directory / "results", keep=False)
        try:
            machine.connect(PROBE_LIMIT).close()
        except MachineGone:
            return False
        finally:
            machine.kill()
        return True
