"""Composes the virtme-ng command, starts a machine, and makes sure it ends.

`virtme-run` is what `vng` itself calls; it is used directly because every option is then ours, and
because a process fewer stands between the machine and the one who must outlive it. The chain is
this process → virtme-run → QEMU; each asks the kernel to be killed when its parent dies
(`setpriv --pdeathsig`), so that nothing is left behind even by `kill -9`. A machine that is kept
up has no such parent: it is ended through its process group.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import devices, places
from tests.machine.client import Agent, MachineGone
from tests.machine.errors import BenchError
from tests.machine.protocol import PORT_NAME, PORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.machine.kernel import Kernel

BOOT_LIMIT = 300.0  # seconds; a boot without KVM takes 15 to 25 on two idle cores

OVERLAYS = ("/etc", "/lib", "/home", "/opt", "/srv", "/usr", "/var", "/tmp")

# The guest mounts something of its own over these: what lies below is shared explicitly.
HIDDEN = ("/run", "/dev", "/proc", "/sys", "/var/tmp", "/var/log", "/var/cache")

# Drivers of QEMU's chipset that no test needs. Loading them takes a third of a boot without KVM.
UNNEEDED = (
    *("acpi_cpufreq", "ahci", "i2c_i801", "i6300esb", "iTCO_wdt", "lpc_ich", "pcspkr"),
    *("powernow_k8", "psmouse", "qemu_fw_cfg", "serio_raw"),
    *("ccp", "kvm", "kvm_amd", "kvm_intel"),
    *("aesni_intel", "crc32_pclmul", "crct10dif_pclmul", "ghash_clmulni_intel"),
    *("sha1_ssse3", "sha256_ssse3", "sha512_ssse3"),
)

# Without KVM, the widest vectors and five levels of page tables only cost: programs are a quarter
# faster on this one. It has what Python's binary wheels may ask for (x86-64-v2).
EMULATED_CPU = ("-cpu", "Nehalem")

KERNEL_OPTIONS = (
    "mitigations=off",
    "printk.devkmsg=on",  # no message of a test's own is dropped for being one too many
    "sysrq_always_enabled=1",
    "modprobe.blacklist=" + ",".join(UNNEEDED),
)

# QEMU translates code anew that moves with every program's start: a third of the time of a start.
EMULATED_KERNEL_OPTIONS = ("norandmaps",)


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of."""

    kernel: Kernel
    kvm: bool
    memory: str = "2G"
    cpus: int = 2
    qemu: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A machine that runs, or ran: where its things are."""

    directory: Path  # console.log, machine.json, results/
    sockets: Path  # in a short path, as sockets need; also disks. Removed with the machine
    results: Path  # what the guest may write
    group: int  # process group, and the process that leads it
    born: str  # the leader's start time: tells it from a later process of that number
    release: str
    kvm: bool

    @property
    def console(self) -> Path:
        """The guest's kernel log."""
        return self.directory / "console.log"

    @property
    def monitor(self) -> Path:
        """QEMU's own socket."""
        return self.sockets / "qmp.sock"

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return birth(self.group) == self.born

    def connect(self, limit: float = BOOT_LIMIT) -> Agent:
        """A connection to the agent inside, waiting for it if need be."""
        ports = [agent_socket(self.sockets, number) for number in range(PORTS)]
        return Agent.connect(ports, limit, lambda: self.alive)

    def kill(self) -> None:
        """End it, whatever it does, and clean up what only a living machine needs."""
        if self.alive:
            os.killpg(self.group, signal.SIGKILL)
            while self.alive:
                time.sleep(0.02)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def save(self) -> None:
        """Write down how to reach it."""
        values = {name: str(value) for name, value in vars(self).items()}
        values.pop("directory")
        (self.directory / "machine.json").write_text(json.dumps(values, indent=2) + "\n")


def load(directory: Path) -> Machine | None:
    """The machine of a directory, if there ever was one."""
    try:
        values = json.loads((directory / "machine.json").read_text())
    except FileNotFoundError:
        return None
    return Machine(
        directory=directory,
        sockets=Path(values["sockets"]),
        results=Path(values["results"]),
        group=int(values["group"]),
        born=values["born"],
        release=values["release"],
        kvm=values["kvm"] == "True",
    )


def start(directory: Path, hardware: Hardware, *, results: Path, keep: bool) -> Machine:
    """Start a machine and return at once; `connect` waits until it is up.

    Unless it is to be kept, it dies with this process.
    """
    results.mkdir(parents=True, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    sockets = Path(tempfile.mkdtemp(prefix="gadgetip-"))
    emulator = _emulator(sockets)
    command = compose(hardware, sockets=sockets, results=results, emulator=emulator)
    if not keep:
        command = ["setpriv", "--pdeathsig", "KILL", *command]
    (directory / "command").write_text(shlex.join(command) + "\n")
    with (directory / "console.log").open("wb") as log:
        # QEMU reopens its output by name, several times and truncating: a pipe does not mind.
        drain_in, drain_out = os.pipe()
        subprocess.Popen(["cat"], stdin=drain_in, stdout=log, start_new_session=True)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=drain_out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=places.CHECKOUT,
            env=_environment(sockets),
        )
        os.close(drain_in)
        os.close(drain_out)
    machine = Machine(
        directory=directory,
        sockets=sockets,
        results=results,
        group=process.pid,
        born=birth(process.pid) or "",
        release=hardware.kernel.release,
        kvm=hardware.kvm,
    )
    machine.save()
    return machine


def compose(hardware: Hardware, *, sockets: Path, results: Path, emulator: Path) -> list[str]:
    """The virtme-run command of a machine."""
    binaries = Path(sys.executable).parent
    agent = [sys.executable, "-S", "-B", "-m", "tests.machine.agent"]
    command = [str(binaries / "virtme-run"), "--kimg", str(hardware.kernel.image), "--mods=auto"]
    command += ["--qemu-bin", str(emulator), "--name", "bench", "--user", "root"]
    command += ["--cpus", str(hardware.cpus), "--memory", hardware.memory]
    command += ["--force-9p", "--disable-microvm", "--show-boot-console", "--verbose"]
    if not hardware.kvm:
        command += ["--disable-kvm"]
    for overlay in OVERLAYS:
        if Path(overlay).exists():
            command += ["--overlay-rwdir", overlay]
    for path in shared((places.CHECKOUT, hardware.kernel.root, Path(sys.prefix))):
        command += ["--rodir", f"{path}={path}"]
    command += ["--rwdir", f"{results}={results}"]
    for option in (*KERNEL_OPTIONS, *(() if hardware.kvm else EMULATED_KERNEL_OPTIONS)):
        command += ["--kopt", option]
    command += [
        "--script-sh",
        f"cd {shlex.quote(str(places.CHECKOUT))} && exec {shlex.join(agent)}",
    ]
    command += ["--qemu-opts", *([] if hardware.kvm else EMULATED_CPU)]
    command += [*emulated(sockets), *hardware.qemu]
    return command


def shared(paths: Sequence[Path]) -> list[Path]:
    """Those of the paths which the guest would not see in its copy of our root."""
    return [path for path in paths if any(path.is_relative_to(hidden) for hidden in HIDDEN)]


def emulated(sockets: Path) -> list[str]:
    """QEMU's arguments for the monitor, the agent's ports and the USB hardware."""
    words = ["-qmp", f"unix:{sockets}/qmp.sock,server=on,wait=off", "-device"]
    words += ["virtio-serial-pci,id=benchports"]
    for number in range(PORTS):
        channel = f"socket,id=agent{number},path={agent_socket(sockets, number)}"
        port = f"virtserialport,bus=benchports.0,chardev=agent{number}"
        words += ["-chardev", f"{channel},server=on,wait=off"]
        words += ["-device", f"{port},name={PORT_NAME.format(number)}"]
    return words + devices.arguments(sockets)


def agent_socket(sockets: Path, number: int) -> Path:
    """Our end of one of the agent's ports."""
    return sockets / f"agent{number}.sock"


def wait_until_up(machine: Machine) -> None:
    """Return when the agent answers; a machine that does not come up is killed and explained."""
    try:
        machine.connect().close()
    except MachineGone as error:
        machine.kill()
        tail = console_tail(machine.console, 40)
        raise BenchError(f"{tail}\nbench: the machine did not come up: {error}") from error


def console_tail(console: Path, lines: int) -> str:
    """The end of the guest's kernel log."""
    text = console.read_text(errors="replace") if console.exists() else ""
    return "\n".join(text.replace("\r", "").splitlines()[-lines:])


def birth(pid: int) -> str | None:
    """When a process started, in the kernel's words; None if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _emulator(sockets: Path) -> Path:
    """QEMU, as a command that dies with its parent."""
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise BenchError("qemu-system-x86_64 is not installed: `make setup` does it")
    script = sockets / "qemu"
    script.write_text(f'#!/bin/sh\nexec setpriv --pdeathsig KILL {found} "$@"\n')
    script.chmod(0o755)
    return script


def _environment(sockets: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(sockets), "PYTHONDONTWRITEBYTECODE": "1"}
