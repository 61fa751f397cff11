"""The package of another processor, under QEMU's user emulation.

Debian armel is run as a whole on the Pi Zero W's processor. Debian armhf is ARMv7, so its Python is
too, and does not start there: what runs on that processor is the part of the module that can do so
without the interpreter, as with the wheel (docs/native-pump.md).
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.native import wheels
from tests.packages.life import NATIVE, PLANNED, ensure
from tests.packages.report import PackageError, step

if TYPE_CHECKING:
    from tests.packages.chroot import Chroot
    from tests.packages.target import Target


def run(target: Target, chroot: Chroot) -> None:
    """Install and run it; raises PackageError."""
    with step(target.name, "apt install, in emulation"):
        chroot.install("./gadgetip.deb", options="--no-install-recommends")
    kind = target.processor or "the emulator's processor"
    with step(target.name, f"the program, on {kind}"):
        said = chroot.run("gadgetip --version", processor=target.processor)
        ensure(NATIVE in said, "no native pump", said)
        said = chroot.run(PLANNED, processor=target.processor)
        ensure("functionfs" in said.lower(), "no plan", said)
        # The Python pump, too, finds its C library.
        said = chroot.run(LIBAIO, processor=target.processor)
        ensure("libaio is there" in said, "no libaio", said)
    if target.old_processor:
        with step(target.name, f"the module's wire.c, on {target.old_processor}"):
            on_old_processor()
    with step(target.name, "apt purge, in emulation"):
        chroot.run("apt -q -y purge gadgetip && test ! -e /usr/lib/gadgetip")


def on_old_processor() -> None:
    """Run wire.c as the package has it compiled (debian/rules, and the wheel, have its flags)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            wheels.run_on_arm1176(Path(folder))
        except subprocess.CalledProcessError as error:
            raise PackageError(f"status {error.returncode}") from error


LIBAIO = (
    'python3 -c \'import sys; sys.path.insert(0, "/usr/lib/gadgetip");'
    ' import gadgetip.pump.request_queue; print("libaio is there")\''
)
