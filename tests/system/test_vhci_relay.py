"""`attach --to vhci --pump native`: the relay between the stock stub and the kernel's vhci_hcd."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system import host
from tests.system.attachment import wait_until_exported
from tests.system.reborn import emulated
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.test_endings import destroy_client_socket
from tests.system.test_vhci import Foreground, here, run, used, wait_until_used
from tests.system.waiting import wait_for

LIMIT_S = 120
MIB = 1 << 20


@contextmanager
def relayed(busid: str, *options: str) -> Iterator[tuple[Foreground, Path]]:
    """The device on a vhci port behind the relay, as this machine's sysfs has it."""
    wait_until_exported(busid)
    with Foreground("127.0.0.1", busid, "--to", "vhci", "--pump", "native", *options) as kept:
        number = kept.event("attached")["port"]
        yield kept, Path("/sys/bus/usb/devices", wait_until_used(number))
        if kept.running:
            kept.interrupt()
            kept.event("stopped")
            assert kept.wait() == 0
        wait_for(lambda: not used(), "a free port", 20)


def disk_of(device: Path) -> Path:
    return wait_for(lambda: host.disk_of(device), f"a disk of {device.name}")


def sha256_of(disk: Path) -> str:
    run("blockdev", "--flushbufs", str(disk))
    digest = hashlib.sha256()
    with disk.open("rb") as file:
        while data := file.read(MIB):
            digest.update(data)
    return digest.hexdigest()


def test_a_disk_byte_for_byte(stick: Stick) -> None:
    stick.fill()
    with relayed(stick.busid) as (_, device):
        disk = disk_of(device)
        assert sha256_of(disk) == stick.checksum()
        [row] = json.loads(here("ports", "--json"))
        assert row["remote"] == {"host": "127.0.0.1", "port": "3240", "busid": stick.busid}
        assert f"usbip://127.0.0.1:3240/{stick.busid}" in run("usbip", "port")
        data = os.urandom(16 * MIB)
        with disk.open("wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        assert stick.store.read_bytes()[: len(data)] == data
        verify(disk)
    assert used() == []


def verify(disk: Path) -> None:
    """Random blocks of random sizes, written, and read again with their checksums."""
    command = [
        *("fio", "--name=verify", f"--filename={disk}", "--rw=randrw", "--bsrange=512-131072"),
        *("--direct=1", "--verify=crc32c", "--size=16M", "--io_size=12M", "--ioengine=libaio"),
        *("--iodepth=4", "--verify_fatal=1", "--output-format=terse"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def exported(server: StockServer, vendor_product: str) -> Iterator[str]:
    """A device of QEMU's; gives its bus id."""
    device = emulated(vendor_product)
    with server.exporting(device.name):
        yield device.name


def test_a_disk_that_qemu_emulates(server: StockServer) -> None:
    """It is handed whole URBs, and has a mind of its own when it may be asked for its status."""
    with exported(server, "46f4:0001") as busid, relayed(busid) as (_, device):
        disk = disk_of(device)
        data = os.urandom(4 * MIB)
        with disk.open("wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        run("blockdev", "--flushbufs", str(disk))
        assert disk.open("rb").read(len(data)) == data


def test_what_is_no_disk_passes(server: StockServer) -> None:
    with exported(server, "0627:0001") as busid, relayed(busid) as (_, device):
        drivers = [each.resolve().name for each in device.glob("*:*/driver")]
        assert drivers == ["usbhid"]


@contextmanager
def busy(disk: Path) -> Iterator[None]:
    """Somebody reads and writes meanwhile, and does not mind errors."""
    script = (
        f"while :; do dd if={disk} of=/dev/null bs=64k count=64 iflag=direct || sleep 0.1; done"
    )
    with subprocess.Popen(
        ["sh", "-c", script], stderr=subprocess.DEVNULL, start_new_session=True
    ) as reader:
        try:
            wait_for(lambda: "dd" in names_below(reader.pid), "the reader")
            yield
        finally:
            os.killpg(reader.pid, signal.SIGKILL)


def names_below(pid: int) -> list[str]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for child in children:
        with suppress(OSError):
            found.append(Path(f"/proc/{child}/comm").read_text().strip())
    return found


ENDS: dict[str, Callable[[Foreground, str], object]] = {
    "detached": lambda _, busid: here("detach", busid),
    "cut": lambda _, __: destroy_client_socket(),
    "killed": lambda kept, _: os.kill(kept.pid, signal.SIGKILL),
    "worker killed": lambda kept, _: os.kill(worker_of(kept.pid), signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_under_load_and_leaves_nothing(stick: Stick, end: str) -> None:
    """A free port, no process, and the server has its device again."""
    with relayed(stick.busid) as (kept, device), busy(disk_of(device)):
        worker = Path(f"/proc/{worker_of(kept.pid)}")
        ENDS[end](kept, stick.busid)
        kept.wait()
        wait_for(lambda: not used(), "a free port", 20)
        wait_for(lambda: not worker.exists(), "the worker's end", 10)
    wait_until_exported(stick.busid)


def worker_of(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_it_is_kept_over_a_cut_and_an_unplug(server: StockServer) -> None:
    with (
        Stick("dummy_udc.2", serial="RELAYED", product_id=0x5584) as stick,
        server.exporting(stick.busid),
        relayed(stick.busid, "--keep") as (kept, device),
    ):
        disk_of(device)
        destroy_client_socket()
        assert kept.event("lost")["reason"] == "link lost"
        number = kept.event("attached")["port"]
        disk_of(Path("/sys/bus/usb/devices", wait_until_used(number)))
        stick.unplug()
        assert kept.event("lost")["reason"] == "unplugged"
