"""What the server's machine knows of its devices, and when; what it will not give away."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gadgetip.cli.local_list import cells, rows
from gadgetip.server.binding_marks import Bindings
from gadgetip.server.hotplug import DeviceAppeared, DeviceVanished, Hotplug, Resynchronise
from gadgetip.server.inventory import find_local, read_inventory
from gadgetip.server.local_device import LocalDevice, LocalInterface
from gadgetip.server.safety import gather_facts, reason_to_keep
from gadgetip.usb import Speed
from tests.system.host import wait_for_disk
from tests.system.stick import Stick
from tests.system.waiting import wait_for


@pytest.fixture(scope="module")
def own() -> Iterator[Stick]:
    """A stick that nothing exports."""
    with Stick("dummy_udc.0", serial="INVENTORY-1") as plugged:
        wait_for_disk("dummy_udc.0")
        yield plugged


def found(stick: Stick) -> LocalDevice:
    device = find_local(stick.busid)
    assert device is not None
    return device


def reason(stick: Stick) -> str | None:
    return reason_to_keep(found(stick), gather_facts())


@contextmanager
def running(*command: str, undo: tuple[str, ...]) -> Iterator[None]:
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(undo, check=True, capture_output=True)


def test_a_device_as_the_drivers_have_it(own: Stick) -> None:
    device = found(own)
    assert device in read_inventory()
    assert (device.id, device.serial, device.speed) == (own.id, "INVENTORY-1", Speed.HIGH)
    assert (device.manufacturer, device.product) == ("SanDisk", "Ultra")
    assert (device.bcdDevice, device.bConfigurationValue, device.driver) == (0x0126, 1, "usb")
    assert device.interfaces == (LocalInterface(0, 0x08, 0x06, 0x50, "usb-storage"),)
    assert Path(device.path).samefile(own.sysfs)
    assert f"{device.busnum}\n" == (own.sysfs / "busnum").read_text()
    assert f"{device.devnum}\n" == (own.sysfs / "devnum").read_text()
    assert reason(own) is None
    hubs = [d for d in read_inventory() if d.is_hub]
    assert {hub.busid for hub in hubs} >= {"usb1", f"usb{device.busnum}"}
    facts = gather_facts()
    assert all("a hub" in str(reason_to_keep(hub, facts)) for hub in hubs)


def test_a_device_that_the_stub_has(own: Stick) -> None:
    bind = ("usbip", "bind", "-b", own.busid)
    with running(*bind, undo=("usbip", "unbind", "-b", own.busid)):
        device = found(own)
        assert (device.driver, device.stub_status, device.bConfigurationValue) == (
            "usbip-host",
            1,
            0,
        )
        assert device.interfaces == (LocalInterface(0, 0x08, 0x06, 0x50),)
        assert device.serial == "INVENTORY-1"
        (row,) = rows((device,), Bindings(), None)
        assert cells(row)[-2:] == ("usbip-host", "yes")
    wait_for_disk("dummy_udc.0")
    assert found(own).stub_status is None


def test_the_list_of_this_machine_for_anybody(own: Stick) -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    python = (os.fspath(Path(__file__).parents[2] / ".venv/bin/python"), "-m", "gadgetip", "list")
    done = subprocess.run(
        [*nobody, *python],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header.startswith("BUSID")
    (line,) = [line for line in lines if line.split()[0] == own.busid]
    for part in (own.busid, own.id, "SanDisk Ultra", "INVENTORY-1", "usb-storage", "no"):
        assert part in line


def test_a_mounted_disk_stays(own: Stick, tmp_path: Path) -> None:
    disk = wait_for_disk("dummy_udc.0")
    subprocess.run(["mkfs.vfat", "-I", str(disk)], check=True, capture_output=True)
    place = tmp_path / "a place"
    place.mkdir()
    with running("mount", str(disk), str(place), undo=("umount", str(place))):
        assert reason(own) == f"{disk.name} is mounted on {place}: unmount it first"
    assert reason(own) is None


def test_a_disk_below_others_stays(own: Stick, tmp_path: Path) -> None:
    """A loop device on the disk stands for dm-crypt and LVM: the same links in sysfs."""
    disk = wait_for_disk("dummy_udc.0")
    subprocess.run(["modprobe", "loop"], check=True)
    loop = subprocess.run(
        ["losetup", "--find", "--show", str(disk)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        name = Path(loop).name
        assert reason(own) == f"{name} is made of it: close or stop that first"
        subprocess.run(["mkfs.vfat", "-I", loop], check=True, capture_output=True)
        with running("mount", loop, str(tmp_path), undo=("umount", str(tmp_path))):
            assert reason(own) == f"{name} is mounted on {tmp_path}: unmount it first"
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)
    wait_for(lambda: reason(own) is None, "the loop device's end", 10)


def test_swap_stays(own: Stick) -> None:
    disk = wait_for_disk("dummy_udc.0")
    subprocess.run(["mkswap", "-f", str(disk)], check=True, capture_output=True)
    with running("swapon", str(disk), undo=("swapoff", str(disk))):
        assert reason(own) == f"this machine swaps to {disk.name} on it: swapoff first"


async def until(hotplug: Hotplug, event: object, limit_s: float = 10.0) -> float:
    """Wait for an event; returns when it came."""
    async with asyncio.timeout(limit_s):
        async for each in hotplug:
            if each == event:
                return time.monotonic()
    raise AssertionError(f"the iteration ended before {event}")


def test_plugging_is_told_at_once(own: Stick) -> None:
    """Within a fraction of the half second that a bootloader is to be exported in.

    The clock starts when sysfs has the device, or has lost it: how long the kernel takes to get
    there is not ours.
    """

    async def replug(act: Callable[[], None], event: object, there: bool) -> float:
        def change() -> float:
            act()
            wait_for(lambda: own.sysfs.exists() is there, f"{event}")
            return time.monotonic()

        changed, told = await asyncio.gather(asyncio.to_thread(change), until(hotplug, event))
        return told - changed

    async def measure() -> list[float]:
        return [
            await replug(own.unplug, DeviceVanished(own.busid), there=False),
            await replug(own.plug, DeviceAppeared(own.busid), there=True),
        ]

    with Hotplug() as hotplug:
        late = asyncio.run(measure())
    print(f"told {late[0] * 1000:.0f} ms, {late[1] * 1000:.0f} ms later")
    assert max(late) < 0.25
    wait_for_disk("dummy_udc.0")


def test_lost_events_are_told(own: Stick) -> None:
    """A buffer that is too small, and more events than it holds."""

    async def flood() -> None:
        with Hotplug() as hotplug:
            with socket.fromfd(hotplug.fileno(), socket.AF_NETLINK, socket.SOCK_RAW) as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(100):
                (own.sysfs / "uevent").write_text("change")
            await until(hotplug, Resynchronise())
            # And it goes on.
            (own.sysfs / "uevent").write_text("add")
            await until(hotplug, DeviceAppeared(own.busid))

    asyncio.run(flood())
