"""What a device does when opening or claiming goes wrong; libusb's calls are scripted.

That they do so on a kernel is shown in tests/system.
"""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gadgetip.errors import PrerequisiteError
from gadgetip.server.stub import DeviceFaultError
from gadgetip.server.userspace import device as device_module
from gadgetip.server.userspace.device import CLAIM_TRIES, LibusbDevice
from gadgetip.server.userspace.library import BUSY, load
from gadgetip.server.userspace.urb import DeviceLostError

DESCRIPTORS = bytes.fromhex(
    "12010002000000400100020003000000000109021200010100803209040000000300000000"
)


class Scripted:
    """libusb, but for what asks the kernel."""

    def __init__(self) -> None:
        self._libusb = load()
        self.claims: list[int] = []  # what the next claims give instead of 0
        self.detached = self.closed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._libusb, name)

    def libusb_wrap_sys_device(self, _context: Any, _file: int, _handle: Any) -> int:
        return 0

    def libusb_close(self, _handle: Any) -> None:
        self.closed += 1

    def libusb_get_configuration(self, _handle: Any, value: Any) -> int:
        value._obj.value = 1
        return 0

    def libusb_detach_kernel_driver(self, _handle: Any, _number: int) -> int:
        self.detached += 1
        return 0

    def libusb_claim_interface(self, _handle: Any, _number: int) -> int:
        return self.claims.pop(0) if self.claims else 0

    def libusb_release_interface(self, _handle: Any, _number: int) -> int:
        return 0

    def libusb_set_configuration(self, _handle: Any, _value: int) -> int:
        return 0


@pytest.fixture
def libusb(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """What the device finds as libusb."""
    scripted = Scripted()
    monkeypatch.setattr(device_module, "load", lambda: scripted)
    return scripted


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A file with the descriptors that a usbfs node shows."""
    path = tmp_path / "001"
    path.write_bytes(DESCRIPTORS)
    return path


def test_unplugged_while_it_is_opened(
    libusb: Scripted, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: int) -> bytes:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "pread", gone)
    with pytest.raises(DeviceFaultError, match="cannot be read"):
        LibusbDevice(node)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert libusb.closed == 1


def test_a_driver_binds_before_the_claim(libusb: Scripted, node: Path) -> None:
    opened = LibusbDevice(node)
    libusb.claims = [BUSY, BUSY]
    opened.claim()
    assert libusb.detached == 3
    opened.close()


def test_a_driver_that_does_not_give_up(libusb: Scripted, node: Path) -> None:
    opened = LibusbDevice(node)
    opened.claim()
    libusb.claims = [BUSY] * CLAIM_TRIES
    with pytest.raises(DeviceLostError):
        opened.set_configuration(1)
    assert opened.is_lost
    opened.close()


def test_a_library_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load(), "libusb", SimpleNamespace())
    with pytest.raises(PrerequisiteError, match=r"1\.0\.24"):
        load()
