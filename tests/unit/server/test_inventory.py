"""Devices as files: what is read of them, and how long anybody waits for one that hangs."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.server import inventory
from gadgetip.server.inventory import find_local, read_inventory, still_reading

FILES = {
    "busnum": "1",
    "speed": "480",
    "idVendor": "0781",
    "idProduct": "5581",
    "bcdDevice": "0126",
    "bDeviceClass": "00",
    "bDeviceSubClass": "00",
    "bDeviceProtocol": "00",
    "bConfigurationValue": "1",
    "bNumConfigurations": "1",
    "serial": "ABC",
    "descriptors": "",
}


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """1-1 and 1-2, as sysfs has them."""
    monkeypatch.setattr(inventory, "_DEVICES", tmp_path / "devices")
    monkeypatch.setattr(inventory, "DEVICE_LIMIT_S", 0.5)
    for name in ("_lasting", "_readings"):
        monkeypatch.setattr(inventory, name, {})
    monkeypatch.setattr(inventory, "_hanging", set())
    (tmp_path / "devices").mkdir()
    for number in (1, 2):
        plug(tmp_path, f"1-{number}", number)
    yield tmp_path
    for fifo in tmp_path.glob("1-*/*"):
        if fifo.is_fifo():
            unlock(fifo)


def plug(directory: Path, busid: str, devnum: int) -> None:
    (directory / busid).mkdir()
    for name, text in (FILES | {"devnum": str(devnum)}).items():
        (directory / busid / name).write_text(text + "\n")
    (directory / "devices" / busid).symlink_to(f"../{busid}")


def lock(path: Path) -> None:
    """As the kernel does while a driver probes: whoever reads the file waits."""
    path.unlink()
    os.mkfifo(path)


def unlock(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        file.write(b"2\n")
        path.rename(path.with_name("old"))
        path.write_text("2\n")
        time.sleep(0.05)


def test_what_is_read(devices: Path) -> None:
    first, second = read_inventory()
    assert (first.busid, first.devnum, first.serial, first.id) == ("1-1", 1, "ABC", "0781:5581")
    assert find_local("1-2") == second
    assert still_reading() == frozenset()


def test_a_device_that_hangs_is_as_it_was_and_holds_up_nobody(devices: Path) -> None:
    known = read_inventory()
    lock(devices / "1-1" / "bConfigurationValue")
    began = time.monotonic()
    assert read_inventory() == known
    assert find_local("1-1") == known[0]
    assert time.monotonic() - began < 2
    assert still_reading() == {"1-1"}
    assert sum(thread.name == "reading 1-1" for thread in threading.enumerate()) == 1
    began = time.monotonic()
    assert find_local("1-2") == known[1]
    assert time.monotonic() - began < 0.5

    unlock(devices / "1-1" / "bConfigurationValue")
    found = find_local("1-1")
    assert found is not None
    assert found.bConfigurationValue == 2
    assert still_reading() == frozenset()


def test_a_new_device_that_hangs_is_left_out_until_it_can_be_read(devices: Path) -> None:
    lock(devices / "1-1" / "serial")
    assert [device.busid for device in read_inventory()] == ["1-2"]
    assert still_reading() == {"1-1"}
    unlock(devices / "1-1" / "serial")
    assert [device.busid for device in read_inventory()] == ["1-1", "1-2"]
    assert still_reading() == frozenset()


def test_what_is_unplugged_is_forgotten(devices: Path) -> None:
    lock(devices / "1-1" / "serial")
    read_inventory()
    (devices / "devices" / "1-1").unlink()
    assert [device.busid for device in read_inventory()] == ["1-2"]
    assert still_reading() == frozenset()


def test_many_devices_on_one_slow_processor_are_all_read(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 15):
        plug(devices, f"1-{number}", number)
    processor, read = threading.Lock(), inventory._descriptors

    def read_slowly(directory: Path) -> bytes:
        with processor:
            time.sleep(0.06)
            return read(directory)

    monkeypatch.setattr(inventory, "_descriptors", read_slowly)
    assert len(read_inventory()) == 14
    assert still_reading() == frozenset()
