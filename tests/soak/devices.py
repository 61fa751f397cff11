"""The three devices of the soak, and the cables that they are plugged into.

    dummy_udc.0 … .4    server's side: three devices and two free cables to move them to
    dummy_udc.5 … .7    replicas: one cable for each attachment

A device is moved by taking it out of one cable and putting it into another: there it is behind
another host controller, so the server knows it by another bus id. Nobody waits for the server's
kernel to configure it: whoever exports it takes it away at once.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.system import host, modules
from tests.system.devices import Description, Gadget, catalogue, hid
from tests.system.devices.gadget import Configuration
from tests.system.stick import STORE, make_store
from tests.system.waiting import wait_for

SERVER_CABLES = tuple(f"dummy_udc.{number}" for number in range(5))
REPLICA_CABLES = {
    name: f"dummy_udc.{n}" for n, name in enumerate(("storage", "keyboard", "serial"), 5)
}
PAIRS = 8
STICK_MIB = 16
PLUG_LIMIT_S = 20.0
CONTROLLERS = Path("/sys/class/udc")


class Device:
    """One device: its gadget, and which cable it is in."""

    def __init__(self, name: str, description: Description, cable: str) -> None:
        self.name = name
        self.cable = cable
        self.gadget = Gadget(description, cable, name=f"soak-{name}", visible=False)
        self.id = self.gadget.id

    @property
    def busid(self) -> str:
        """Where it is at the server; empty while it is unplugged."""
        found = host.device_behind(host.controller_of(self.cable))
        return found.name if found else ""

    @property
    def node(self) -> Path:
        """Its own end in /dev: of its first function."""
        return self.gadget.node(self.gadget.description.functions[0])

    def unplug(self) -> None:
        """Take it out and wait until the server has seen it go."""
        self.gadget.unplug()
        host.wait_for_unplug(self.cable)

    def plug(self, cable: str = "") -> None:
        """Put it in again, into the same cable or another; wait until the server sees it."""
        self.cable = cable or self.cable
        self.gadget.udc = self.cable
        deadline = time.monotonic() + PLUG_LIMIT_S
        while True:
            try:
                self.gadget.plug()
                break
            except OSError:  # somebody parks free controllers for a moment: see GadgetFS's backend
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)
        self.wait()

    def wait(self) -> None:
        """Wait until the server sees it."""
        wait_for(lambda: self.busid, f"{self.name} seen by the server", PLUG_LIMIT_S)


def _descriptions(store: Path) -> dict[str, Description]:
    keyboard = Configuration((hid.keyboard(),))
    disk = Configuration((catalogue.storage(store),))
    return {
        "storage": Description((disk,), 0x0781, 0x5581, product="Ultra", serial="SOAK0001"),
        "keyboard": Description((keyboard,), catalogue.VENDOR, 0x0120, product="Keyboard"),
        "serial": catalogue.cdc_acm(),
    }


@contextmanager
def plugged_in() -> Iterator[dict[str, Device]]:
    """The three of them, each in a cable at the server; the store of the disk is `store`."""
    store = make_store(STORE / "soak.img", STICK_MIB << 20)
    try:
        with ExitStack() as stack:
            devices = {}
            for (name, description), cable in zip(
                _descriptions(store).items(), SERVER_CABLES, strict=False
            ):
                devices[name] = Device(name, description, cable)
                stack.enter_context(devices[name].gadget)
            for device in devices.values():
                device.wait()
            yield devices
    finally:
        store.unlink()


@contextmanager
def cables() -> Iterator[None]:
    """Eight of them. A machine that has fewer gets as many, and its own number back afterwards."""
    modules.load()
    before = len(list(CONTROLLERS.glob("dummy_udc.*")))
    if before >= PAIRS:
        yield
        return
    _reload(PAIRS)
    try:
        yield
    finally:
        _reload(before)


def _reload(pairs: int) -> None:
    subprocess.run(["modprobe", "-r", "dummy_hcd"], check=True)
    subprocess.run(["modprobe", "dummy_hcd", f"num={pairs}"], check=True)


def busids_of(cable: str) -> str:
    """The bus id of whatever is plugged into a cable: a dummy controller has one port."""
    bus = next((host.PLATFORM / host.controller_of(cable)).glob("usb*"))
    return f"{(bus / 'busnum').read_text().strip()}-1"
