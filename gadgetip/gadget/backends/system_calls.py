"""The few things that every backend asks of the system: modules, mounts."""

import contextlib
import os
import subprocess
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError

RUN_DIRECTORY = Path("/run/gadgetip")


def require_root() -> None:
    """Raise `PrerequisiteError` without it."""
    if os.geteuid() != 0:
        raise PrerequisiteError("building a gadget needs root: try again with sudo")


def load_module(module: str) -> bool:
    """Load a kernel module; False where it is missing, which a built-in one is as well."""
    try:
        done = subprocess.run(["modprobe", "-q", module], check=False, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def unload_module(module: str) -> bool:
    """Unload a kernel module; False where it is in use."""
    try:
        done = subprocess.run(["modprobe", "-q", "-r", module], check=False, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def mount(kind: str, source: str, mount_point: Path) -> None:
    """Mount a filesystem of this kind; raises `GadgetipError` with mount's own words."""
    mount_point.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", kind, source, str(mount_point))


def unmount(mount_point: Path) -> None:
    """Unmount, if it is mounted, and remove the directory."""
    if mount_point.is_mount():
        # Lazily: with a file still open somewhere, the rest must be removed all the same.
        _run("umount", "--lazy", str(mount_point))
    with contextlib.suppress(OSError):
        mount_point.rmdir()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise GadgetipError(f"{' '.join(command)}: {reason}")
