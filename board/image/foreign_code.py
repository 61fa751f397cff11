"""Programs of another architecture on this machine: qemu-user, called by the kernel's binfmt_misc.

Packages are installed by their own scripts, so the board's programs have to run here. On most
systems systemd has binfmt_misc registered with qemu-user. A machine or a container without systemd
has nobody who does that; then we do.

Source: Documentation/admin-guide/binfmt-misc.rst, update-binfmts(8), arch-test(1)
"""

import subprocess

from board.image.debian import BuildError

EMULATORS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm", "armel": "qemu-arm"}
"""What qemu-user-static calls its formats (/usr/share/binfmts), by Debian's architecture."""


def let_run(architecture: str) -> None:
    """Have programs of this architecture run here; raises BuildError where they do not."""
    if _run("arch-test", architecture) is None:
        return
    # It mounts binfmt_misc too, where that is not mounted.
    command = ("update-binfmts", "--enable", EMULATORS.get(architecture, f"qemu-{architecture}"))
    print(" ".join(command), flush=True)
    complaint = _run(*command) or "the kernel calls no emulator"
    if _run("arch-test", architecture) is not None:
        raise BuildError(
            f"this machine does not run programs of {architecture}: {complaint}. It takes "
            "qemu-user-static, binfmt-support, root, and, in a container, these on its host"
        )


def _run(*command: str) -> str | None:
    """What a command complains about, on one line; None where it succeeds."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return (
        " ".join(f"{done.stderr} (status {done.returncode})".split()) if done.returncode else None
    )
