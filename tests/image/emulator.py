"""The emulated board: what QEMU is told, power on, and power cut.

A power cut is SIGKILL to QEMU. What the image's kernel has handed to its disk is on the card then,
in the order in which it was handed over; what it has not is gone. A real card loses more: what lies
in its own cache, which no emulator has.

The board's clock counts instructions, 500 million a second, and goes with this computer's only
while it waits. So what a board does within a time of its own does not depend on what this computer
does besides; its seconds are at most as many as ours. `GADGETIP_ICOUNT=no` lets it run freely.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.image.card import Card
from tests.image.console import Console
from tests.image.uboot import firmware
from tests.machine.monitor import Monitor

MAC = "52:54:00:67:69:70"
NETWORK = "board.net"
"""The server's machine listens on this socket; the board is plugged into it."""


@dataclass(frozen=True, slots=True)
class Model:
    """What stands in for a board."""

    program: str
    machine: tuple[str, ...]
    uboot: str  # its directory in Debian's package

    @property
    def words(self) -> list[str]:
        """The command, up to the disk and the network."""
        return [self.program, *self.machine, "-bios", str(firmware(self.uboot))]


MODELS = {
    "pi-zero-2w": Model(
        "qemu-system-aarch64",
        ("-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", "512M"),
        "qemu_arm64",
    ),
    "beaglebone-black": Model(
        "qemu-system-arm",
        ("-M", "virt,highmem=off", "-cpu", "cortex-a15", "-smp", "1", "-m", "512M"),
        "qemu_arm",
    ),
}


def clock() -> list[str]:
    """2^1 ns an instruction."""
    return [] if os.environ.get("GADGETIP_ICOUNT") == "no" else ["-icount", "shift=1"]


class Powered:
    """A machine from power-on to `cut`; its console is what it writes to standard output."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        """Power it on: QEMU with these arguments; `directory` is for its console."""
        directory.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            # It dies with us, as the bench's machine does.
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.console = Console(self._process.stdout, directory / "console.log", self.began)

    @property
    def seconds(self) -> float:
        """Since power-on."""
        return time.monotonic() - self.began

    @property
    def alive(self) -> bool:
        """Whether it has power."""
        return self._process.poll() is None

    def cut(self) -> float:
        """Take the power away; returns how long it had it."""
        seconds = self.seconds
        if self.alive:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.console.join()
        return seconds


class Board(Powered):
    """A board with a card in it, and a network."""

    def __init__(self, model: Model, card: Card, sockets: Path, directory: Path) -> None:
        """Power it on; `directory` is for its console, `sockets` a short path with the network."""
        self.card = card
        self._monitor = sockets / "board.qmp"
        self._monitor.unlink(missing_ok=True)
        command = [*model.words, *clock(), "-nographic", "-nodefaults", "-serial", "stdio"]
        command += ["-qmp", f"unix:{self._monitor},server=on,wait=off"]
        command += ["-drive", f"if=none,id=card,format=raw,cache=writeback,file={card.path}"]
        command += ["-device", "virtio-blk-pci,drive=card"]
        cable = f"stream,id=cable,server=off,addr.type=unix,addr.path={sockets / NETWORK}"
        command += ["-netdev", cable, "-device", f"virtio-net-pci,netdev=cable,mac={MAC},romfile="]
        super().__init__(command, directory)

    def status(self) -> str:
        """QEMU's word for what it does: running, shutdown, ..."""
        with Monitor(self._monitor) as monitor:
            return str(monitor.execute("query-status")["status"])
