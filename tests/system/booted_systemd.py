"""A real systemd in the machine of the bench, as process 1 of namespaces of its own.

It has its own /run and its own units and shares the rest: the kernel, the network, /sys. Only what
the services need is started with it: the journal, udevd (without its coldplug), temporary files.

`gadgetip` is where the units look for it, /usr/local/bin: a line of shell that calls the checkout.
The machine's files are overlays, so it is gone with the machine.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.system.waiting import wait_for

BOARD = Path(__file__).parents[2] / "board"
INSTALLED = Path("/usr/local/bin/gadgetip")
BOOT_LIMIT_S = 120.0
COMMAND_LIMIT_S = 90.0
MASKED = (
    *("systemd-udev-trigger", "systemd-hwdb-update", "systemd-sysctl", "systemd-modules-load"),
    *("systemd-random-seed", "systemd-update-utmp", "systemd-journal-flush", "ldconfig"),
    *("systemd-remount-fs", "systemd-sysusers", "systemd-machine-id-commit", "kmod-static-nodes"),
    *("systemd-tmpfiles-setup", "systemd-tmpfiles-setup-dev", "keyboard-setup", "networking"),
    *("systemd-boot-system-token", "systemd-pstore", "systemd-binfmt", "apparmor"),
)
TARGET = """
[Unit]
Description=The bench
Requires=sysinit.target
After=sysinit.target
"""
BOOT = """
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs /var/lib
cp -r "$UNITS"/. /etc/systemd/system/
mkdir -p /run/udev/rules.d
cp "$RULES" /run/udev/rules.d/
export container=bench
exec /lib/systemd/systemd --unit=bench.target --log-target=console --show-status=0
"""


def install_command() -> None:
    """Put gadgetip where the units look for it."""
    INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    root = BOARD.parent
    INSTALLED.write_text(
        f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m gadgetip "$@"\n'
    )
    INSTALLED.chmod(0o755)


class Systemd:
    """Booted while the context lasts; `files` are put below /etc/systemd/system, by name."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {"bench.target": TARGET, **files}

    def __enter__(self) -> "Systemd":
        install_command()
        self._directory = tempfile.TemporaryDirectory(prefix="systemd-")
        units = Path(self._directory.name)
        for source in (BOARD / "systemd").glob("*.service"):
            (units / source.name).write_text(source.read_text())
        for name, text in self._files.items():
            path = units / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for name in MASKED:
            (units / f"{name}.service").symlink_to("/dev/null")
        self._process = subprocess.Popen(
            [
                *("unshare", "--fork", "--pid", "--mount", "--cgroup", "--uts", "--kill-child"),
                *("sh", "-c", BOOT),
            ],
            env={
                **os.environ,
                "UNITS": str(units),
                "RULES": str(BOARD / "udev/99-gadgetip.rules"),
            },
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._init = wait_for(self._child, "systemd's process", BOOT_LIMIT_S)
        wait_for(self._is_up, "systemd up", BOOT_LIMIT_S)
        return self

    def _child(self) -> int | None:
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "systemd ended"
        # It waits by itself, once it can be asked: a process each time would slow the boot down.
        state = self.run("systemctl", "is-system-running", "--wait", check=False).strip()
        return state in {"running", "degraded"}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            journal = self.run("journalctl", "--no-pager", "-n", "80", check=False)
            print(journal, file=sys.stderr)
        os.kill(self._init, signal.SIGRTMIN + 13)  # systemd(1): exit at once, without a shutdown
        try:
            self._process.wait(timeout=COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._directory.cleanup()

    @property
    def root(self) -> Path:
        """Its files, as it sees them: its /run, its /var/lib, and this machine's."""
        return Path(f"/proc/{self._init}/root")

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command beside systemd; returns what it prints."""
        done = subprocess.run(
            ["nsenter", "--target", str(self._init), "--pid", "--mount", "--", *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def state(self, unit: str) -> str:
        """What `systemctl is-active` says of it."""
        return self.run("systemctl", "is-active", unit, check=False).strip()

    def main_process(self, unit: str) -> int:
        """The process id of its main process, in the namespace of systemd; 0 without one."""
        return int(self.run("systemctl", "show", "--value", "-p", "MainPID", unit))
