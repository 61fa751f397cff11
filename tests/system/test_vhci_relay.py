"""`attach --to vhci --pump native`: the relay between the stock stub and the kernel's vhci_hcd."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system import host
from tests.system.attachment import wait_until_exported
from tests.system.server import StockServer
from tests.system.stick import Stick
from tests.system.test_endings import destroy_client_socket
from tests.system.test_vhci import Foreground, here, run, used, wait_until_used
from tests.system.waiting import wait_for
from tests.system.devices import Gadget, catalogue

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
