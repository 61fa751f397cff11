"""`gadgetip attach` as a user runs it: a process, what it prints, how it ends."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.system.host import wait_for_unplug
from tests.system.waiting import wait_for

GADGETIP = [sys.executable, "-m", "gadgetip"]
START_LIMIT_S = 60.0
BOUND_LIMIT_S = 180.0
"""Several may be started at once, on two emulated processors."""
STOP_LIMIT_S = 25.0
RUN = Path("/run/gadgetip")
GADGETS = Path("/sys/kernel/config/usb_gadget")
PUMP = os.environ.get("GADGETIP_PUMP", "")
"""What carries the traffic of replicas where a test does not say: `auto` if it is empty."""
PUMP_OPTIONS = ("--pump", PUMP) if PUMP else ()


def with_pump(configuration: str) -> str:
    """The configuration with that pump for each replica, which are those that name a controller."""
    if not PUMP:
        return configuration
    return re.sub("(?m)^udc = .*$", rf'\g<0>\npump = "{PUMP}"', configuration)


def gadgetip(*arguments: str, limit_s: float = START_LIMIT_S) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*GADGETIP, *arguments], check=False, capture_output=True, text=True, timeout=limit_s
    )


class Attachment:
    """One `gadgetip attach --json` in the foreground, from bound to gone."""

    def __init__(self, host: str, device: str, *, udc: str, options: tuple[str, ...] = ()) -> None:
        self.udc = udc
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as we do)
        self._process = subprocess.Popen(
            [*GADGETIP, "--json", "attach", host, device, "--udc", udc, *PUMP_OPTIONS, *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self._buffered = b""
        self.began = time.monotonic()

    def __enter__(self) -> "Attachment":
        self.wait_until_bound()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()
        if kind is not None:
            print(f"gadgetip said on standard error:\n{self.errors}", file=sys.stderr)

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """Everything that was printed on standard error."""
        self._log.seek(0)
        return self._log.read()

    def wait_until_bound(self) -> dict[str, Any]:
        """Wait for the announcement; returns it."""
        line = self._next_line(time.monotonic() + BOUND_LIMIT_S)
        if not line:
            self._process.wait(timeout=STOP_LIMIT_S)
            raise AssertionError(f"gadgetip ended before it was bound: {self.errors}")
        announced: dict[str, Any] = json.loads(line)
        assert announced["event"] == "bound", line
        self.bound = announced
        return announced

    def wait_for_event(self, name: str, limit_s: float = START_LIMIT_S) -> dict[str, Any]:
        """Wait until this is announced, whatever comes before; returns the announcement."""
        deadline = time.monotonic() + limit_s
        while True:
            line = self._next_line(deadline)
            if not line:
                raise AssertionError(f"no {name} in {limit_s:.0f} s, or it ended: {self.errors}")
            announced: dict[str, Any] = json.loads(line)
            if announced["event"] == name:
                return announced

    def _next_line(self, deadline: float) -> bytes:
        """What is printed next; nothing when it has ended, or at the deadline."""
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        while b"\n" not in self._buffered:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([file], [], [], left)[0] or not (data := os.read(file, 65536)):
                return b""
            self._buffered += data
        line, _, self._buffered = self._buffered.partition(b"\n")
        return line

    def worker(self) -> int:
        """The process id of the worker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the keeper alone."""
        os.kill(self.pid, number)

    def kill_everything(self) -> None:
        """kill -9 keeper and worker at once, as the out-of-memory killer or a crash would."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(timeout=STOP_LIMIT_S)

    def wait(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Wait for the end; returns the exit status."""
        return self._process.wait(timeout=limit_s)

    def stop(self) -> int:
        """Ctrl-C, and wait until the host has seen the unplug and nothing is left behind."""
        self.signal(signal.SIGINT)
        status = self.wait()
        wait_for_unplug(self.udc)
        assert leftovers(self.udc) == []
        return status


def leftovers(udc: str) -> list[str]:
    """What an attachment to this controller has left in configfs, among mounts and in /run."""
    mounts = [
        line for line in Path("/proc/mounts").read_text().splitlines() if f"gadgetip/{udc}" in line
    ]
    gadgets = [str(p) for p in GADGETS.glob(f"gadgetip.{udc}")]
    directories = [str(p) for p in RUN.glob(f"{udc}.*") if p.suffix != ".lock"]
    return mounts + gadgets + directories


def wait_until_exported(busid: str, limit_s: float = 20.0) -> None:
    """Wait until usbip-host has taken a device back from its last client (status 1)."""
    status = Path(f"/sys/bus/usb/devices/{busid}/usbip_status")

    def available() -> bool:
        return status.exists() and status.read_text().strip() == "1"

    wait_for(available, f"{busid} available at the server", limit_s)
