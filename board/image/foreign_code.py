"""Programs of another architecture on this machine: qemu-user, called by the kernel's binfmt_misc.

Packages are installed by their own scripts, so the board's programs have to run here. On most
systems systemd mounts binfmt_misc and registers qemu-user there. A machine or a container without
systemd has nobody who does; then we do.

Source: Documentation/admin-guide/binfmt-misc.rst, update-binfmts(8), arch-test(1)
"""

import subprocess
from pathlib import Path

from board.image.debian import BuildError

REGISTRY = Path("/proc/sys/fs/binfmt_misc")


def let_run(architecture: str) -> None:
    """Have programs of this architecture run here; raises BuildError where the kernel does not."""
    if _runs(architecture):
        return
    said = ""
    commands = [["update-binfmts", "--enable"]]
    if not (REGISTRY / "register").exists():
        commands.insert(0, ["mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTRY)])
    for command in commands:
        print(f"image: {' '.join(command)}", flush=True)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        said = " ".join(done.stderr.split()) or said
    if not _runs(architecture):
        raise BuildError(
            f"this machine does not run programs of {architecture}; in a container, install "
            f"binfmt-support and qemu-user-static on the computer that it is on ({said})"
        )


def _runs(architecture: str) -> bool:
    command = ["arch-test", architecture]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
