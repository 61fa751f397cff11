"""QEMU with Debian's U-Boot and a small card: one boot, from power-on to a kernel that is done.

The virtual clock counts instructions: one is a microsecond. U-Boot waits by looking at the clock,
so that its two seconds for a key and the script's ten are over in milliseconds, and a boot takes a
third of a second.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.image.small_card import SmallCard
from tests.image.uboot import firmware

LIMIT_S = 120
COMMANDS = {
    64: ("qemu-system-aarch64", "-cpu", "cortex-a53"),
    32: ("qemu-system-arm", "-cpu", "cortex-a15"),
}
MACHINES = {64: "qemu_arm64", 32: "qemu_arm"}


@dataclass(frozen=True, slots=True)
class Boot:
    """What a boot wrote to the serial port."""

    console: str

    @property
    def ran(self) -> str | None:
        """The slot whose kernel ran; None where none did."""
        found = re.findall(r"kernel ([AB]) runs", self.console)
        assert len(found) <= 1, self.console
        return found[0] if found else None

    @property
    def tried(self) -> list[str]:
        """The slots that the script began to boot, in order."""
        return re.findall(r"gadgetip: booting slot ([AB])", self.console)

    @property
    def arguments(self) -> str:
        """The kernel's, of the last slot that was tried."""
        found = re.findall(r"gadgetip: booting slot [AB]: (.*?)\s*$", self.console, re.MULTILINE)
        return str(found[-1])


def boot(card: SmallCard, bits: int) -> Boot:
    """Power on, until the kernel is done or U-Boot resets the machine."""
    words = [
        *COMMANDS[bits],
        *("-M", "virt", "-m", "256", "-icount", "shift=10", "-nographic", "-no-reboot"),
        *("-nic", "none", "-bios", str(firmware(MACHINES[bits]))),
        *("-drive", f"if=none,id=card,format=raw,file={card.path}"),
        *("-device", "virtio-blk-device,drive=card"),
    ]
    done = subprocess.run(
        words, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S
    )
    console = done.stdout.decode(errors="replace").replace("\r", "")
    assert done.returncode == 0, console + done.stderr.decode(errors="replace")
    return Boot(console)


def device_tree(bits: int, path: Path) -> bytes:
    """The machine's own device tree, as QEMU hands it to U-Boot."""
    subprocess.run(
        [*COMMANDS[bits], "-M", f"virt,dumpdtb={path}", "-m", "256", "-nographic"],
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    return path.read_bytes()
