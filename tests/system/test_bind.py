"""bind and unbind on a real kernel: drivers, marks, the stock tools, a `serve` that runs."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gadgetip.errors import GadgetipError
from gadgetip.matching import DeviceSelector
from gadgetip.server import usbip_host
from gadgetip.server.binding_by_hand import Outcome, bind_devices, unbind_devices
from gadgetip.server.bindings import PLACES, Binding, Bindings, load_bindings
from tests.system.attachment import gadgetip
from tests.system.host import wait_for_disk
from tests.system.server import StockServer
from tests.system.serving import Serve
from tests.system.stick import Stick
from tests.system.waiting import wait_for

UDC = "dummy_udc.0"
SERIAL = "BIND-1"
RULE = f"""[[export]]
name = "own"
publish_as = "own"
match = {{ serial = "{SERIAL}" }}
when = "bound"
"""


@pytest.fixture(scope="module")
def own(kernel_modules: None) -> Iterator[Stick]:
    """A stick that belongs to this machine, with a file system on it."""
    with Stick(UDC, serial=SERIAL) as plugged:
        subprocess.run(
            ["mkfs.ext2", "-q", "-F", str(wait_for_disk(UDC))], check=True, capture_output=True
        )
        yield plugged


@pytest.fixture(autouse=True)
def nothing_bound(own: Stick) -> Iterator[None]:
    """Each test begins and ends with a stick that is the machine's own."""
    yield
    for path in (PLACES.kept, PLACES.once):
        path.unlink(missing_ok=True)
    usbip_host.give_back(own.busid)
    wait_for_disk(UDC)


def bind(device: str, *, force: bool = False, once: bool = False) -> Outcome:
    """What `gadgetip bind` does, in this process: starting one takes seconds here."""
    selector = DeviceSelector.parse(device)
    (outcome,) = bind_devices([selector], everything=False, force=force, once=once)
    return outcome


def unbind(device: str) -> Outcome:
    (outcome,) = unbind_devices([DeviceSelector.parse(device)], everything=False)
    return outcome


def driver_of_interface(stick: Stick) -> str | None:
    with suppress(OSError):
        return (stick.sysfs / f"{stick.busid}:1.0" / "driver").readlink().name
    return None


def stock_list() -> str:
    return subprocess.run(
        ["usbip", "list", "-r", "127.0.0.1"], check=False, capture_output=True, text=True
    ).stdout


def test_from_the_command_line(own: Stick, server: StockServer) -> None:
    assert driver_of_interface(own) == "usb-storage"
    done = gadgetip("bind", f"serial={SERIAL}", "--json")
    assert done.returncode == 0, done.stderr
    (bound,) = json.loads(done.stdout)
    assert (bound["busid"], bound["outcome"], bound["by"]) == (own.busid, "bound", "serial")
    assert usbip_host.status(own.busid) == usbip_host.AVAILABLE
    assert own.busid in stock_list()
    listed = {entry["busid"]: entry for entry in json.loads(gadgetip("list", "--json").stdout)}
    assert listed[own.busid]["exported"] == "yes"
    done = gadgetip("unbind", "-b", own.busid)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" is unbound\n")
    wait_for_disk(UDC)
    assert driver_of_interface(own) == "usb-storage"
    assert own.busid not in stock_list()
    assert load_bindings() == Bindings()


def test_again_and_again(own: Stick) -> None:
    assert bind(own.id).did == "bound"
    assert bind(own.busid).did == "already bound"
    # Somebody took it from the stub: to bind it is to have it exported again.
    usbip_host.give_back(own.busid)
    assert bind(own.busid).did == "already bound"
    assert usbip_host.status(own.busid) == usbip_host.AVAILABLE
    assert unbind(own.busid).did == "unbound"
    assert unbind(own.busid).did == "not bound"
    wait_for_disk(UDC)


def test_a_mounted_disk(own: Stick, tmp_path: Path) -> None:
    disk = wait_for_disk(UDC)
    subprocess.run(["mount", str(disk), str(tmp_path)], check=True)
    try:
        with pytest.raises(GadgetipError, match=f"is mounted on {tmp_path}: unmount it first"):
            bind(own.busid)
        assert driver_of_interface(own) == "usb-storage"
        assert load_bindings() == Bindings()
        outcome = bind(own.busid, force=True)
        assert outcome.did == "bound"
        assert outcome.mark is not None
        assert outcome.mark.forced
        assert usbip_host.status(own.busid) == usbip_host.AVAILABLE
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    assert unbind(own.busid).did == "unbound"


def test_once(own: Stick) -> None:
    assert bind(own.busid, once=True).did == "bound"
    assert not PLACES.kept.exists()
    mark = Binding(own.id, SERIAL, own.busid, once=True)
    assert load_bindings() == Bindings((mark,))
    assert bind(own.busid).did == "already bound"
    assert PLACES.kept.exists()
    assert load_bindings() == Bindings((Binding(own.id, SERIAL, own.busid),))


@pytest.mark.parametrize("stub", ["kernel", "userspace"])
def test_with_a_serve(own: Stick, stub: str) -> None:
    with Serve(policy=RULE, stub=stub):
        assert driver_of_interface(own) == "usb-storage"
        outcome = bind(own.busid)
        assert (outcome.did, outcome.published_as, outcome.problem) == ("bound", "own", None)
        assert driver_of_interface(own) != "usb-storage"
        assert bind("own").did == "already bound"
        outcome = unbind("own")
        assert (outcome.did, outcome.published_as, outcome.problem) == ("unbound", None, None)
        wait_for_disk(UDC)
        assert driver_of_interface(own) == "usb-storage"


def test_what_the_stock_tools_bound(own: Stick) -> None:
    subprocess.run(["usbip", "bind", "-b", own.busid], check=True, capture_output=True)
    assert unbind(own.busid).did == "unbound"
    wait_for_disk(UDC)
    assert driver_of_interface(own) == "usb-storage"


def test_a_mark_outlives_the_device(kernel_modules: None) -> None:
    with Stick("dummy_udc.2", serial="BIND-2", size_mib=8) as other:
        wait_for_disk("dummy_udc.2")
        assert bind("serial=BIND-2").did == "bound"
        busid = other.busid
    wait_for(lambda: usbip_host.devnum(busid) is None, "an unplug", 20)
    outcome = unbind("serial=BIND-2")
    assert (outcome.did, outcome.device) == ("unbound", None)
    assert load_bindings() == Bindings()


def test_hubs_never(own: Stick) -> None:
    hub = f"usb{own.busid.split('-')[0]}"
    with pytest.raises(GadgetipError, match="it is a hub"):
        bind(hub, force=True)
