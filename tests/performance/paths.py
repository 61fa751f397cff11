"""The ways from a host to the device, as data: what is measured against what.

Each ends at a device in the sysfs of this machine, which plays the host too. A path that this
checkout cannot go yet, or not on this machine, is left out, with the reason.
"""

import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from gadgetip.cli.main import cli
from gadgetip.pump.native_module import why_not
from tests.system import host
from tests.system.attachment import GADGETIP, Attachment, gadgetip, wait_until_exported
from tests.system.devices import Gadget
from tests.system.importers import vhci_ports
from tests.system.server import StockServer
from tests.system.waiting import wait_for

REPLICA_UDC = "dummy_udc.1"
VHCI = "usbip-vudc.0"
VHCI_DETACH = host.PLATFORM / "vhci_hcd.0/detach"
LIMIT_S = 90.0


@dataclass(frozen=True)
class Link:
    """A path that stands: the device in the host's sysfs, and the processes that carry it."""

    device: Path
    processes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Offered:
    """What this checkout has: the values of `attach --pump`, and whether the native one loads."""

    pumps: frozenset[str]
    native: str
    """Empty, or why it cannot be loaded."""


@dataclass(frozen=True)
class MeasuredPath:
    """One way; `options` are those of `gadgetip attach` that it takes."""

    name: str
    says: str
    stand: Callable[[Gadget, tuple[str, ...]], AbstractContextManager[Link]]
    options: tuple[str, ...] = ()
    exported: bool = True

    @property
    def has_processes(self) -> bool:
        """Whether an attachment's processes carry it, and not the kernel alone."""
        return self.stand in {_gadget, _pumped_vhci}

    def lacks(self, offered: Offered) -> str:
        """Why it cannot be gone here; empty if it can."""
        if "--pump" not in self.options:
            return ""
        pump = self.options[self.options.index("--pump") + 1]
        if not offered.pumps and pump == "python":
            return ""  # the only pump that there is
        if pump not in offered.pumps:
            return f"`gadgetip attach` has no --pump {pump}"
        if "vhci" in self.options and "kernel" not in offered.pumps:
            return "`gadgetip attach --to vhci` has no --pump"
        return offered.native if pump == "native" else ""

    @contextmanager
    def standing(self, gadget: Gadget, server: StockServer, offered: Offered) -> Iterator[Link]:
        """The path from the host to this device, while the context lasts."""
        options = self.options if offered.pumps or "vhci" in self.options else ()
        if not self.exported:
            with self.stand(gadget, options) as link:
                yield link
            return
        with server.exporting(gadget.busid):
            wait_until_exported(gadget.busid)
            with self.stand(gadget, options) as link:
                yield link


@contextmanager
def _direct(gadget: Gadget, options: tuple[str, ...]) -> Iterator[Link]:
    yield Link(host.wait_for_device(gadget.udc))


@contextmanager
def _stock(gadget: Gadget, options: tuple[str, ...]) -> Iterator[Link]:
    command = ["usbip", "attach", "-r", "127.0.0.1", "-b", gadget.busid]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield Link(host.wait_for_device(VHCI))
    finally:
        for port in vhci_ports():
            VHCI_DETACH.write_text(str(port))
        host.wait_for_unplug(VHCI)


@contextmanager
def _vhci(gadget: Gadget, options: tuple[str, ...]) -> Iterator[Link]:
    """`gadgetip attach --to vhci`, which returns when the kernel has the connection."""
    done = gadgetip("attach", "127.0.0.1", gadget.busid, *options, limit_s=LIMIT_S)
    assert done.returncode == 0, done.stderr
    try:
        yield Link(host.wait_for_device(VHCI))
    finally:
        gadgetip("detach", "--all", limit_s=LIMIT_S)
        host.wait_for_unplug(VHCI)


@contextmanager
def _pumped_vhci(gadget: Gadget, options: tuple[str, ...]) -> Iterator[Link]:
    """`gadgetip attach --to vhci --pump`, which stays."""
    with tempfile.TemporaryFile("w+") as said:
        command = [*GADGETIP, "attach", "127.0.0.1", gadget.busid, *options]
        process = subprocess.Popen(command, stdout=said, stderr=said)

        def attached() -> bool:
            if process.poll() is not None:
                said.seek(0)
                raise AssertionError(f"{command} ended: {said.read()}")
            return bool(vhci_ports())

        try:
            wait_for(attached, "a device at vhci", LIMIT_S)
            yield Link(host.wait_for_device(VHCI), (process.pid,))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(LIMIT_S)
            host.wait_for_unplug(VHCI)


@contextmanager
def _gadget(gadget: Gadget, options: tuple[str, ...]) -> Iterator[Link]:
    """`gadgetip attach`: a replica."""
    with Attachment("127.0.0.1", gadget.busid, udc=REPLICA_UDC, options=options) as attached:
        yield Link(host.wait_for_device(REPLICA_UDC), (attached.pid,))


PATHS = (
    MeasuredPath("direct", "the device at its own host's port", _direct, exported=False),
    MeasuredPath("vhci", "stock `usbip attach`", _stock),
    MeasuredPath("vhci-again", "the same once more: the noise floor", _stock),
    MeasuredPath("gadgetip-vhci", "`gadgetip attach --to vhci`", _vhci, ("--to", "vhci")),
    MeasuredPath(
        "vhci-pump",
        "`gadgetip attach --to vhci --pump native`",
        _pumped_vhci,
        ("--to", "vhci", "--pump", "native"),
    ),
    MeasuredPath("gadget-python", "`gadgetip attach --pump python`", _gadget, ("--pump", "python")),
    MeasuredPath("gadget-native", "`gadgetip attach --pump native`", _gadget, ("--pump", "native")),
)
"""In the order in which they are measured and shown."""


def offered() -> Offered:
    """What `gadgetip attach --help` offers, and whether the native pump can be loaded."""
    text = " ".join(CliRunner().invoke(cli, ["attach", "--help"]).output.split())
    choices = re.search(r"--pump \[([a-z|]+)\]", text)
    reason = why_not()
    return Offered(
        frozenset(choices[1].split("|")) if choices else frozenset(),
        f"the native pump {reason}" if reason else "",
    )
