"""GadgetFS and the GadgetFS of board/dkms: which of the two is loaded, and what each can do.

The user space is a few lines here: mount, write the descriptors, answer control requests on a
thread. A device of GadgetFS is on whichever controller is the first free one.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import usb.core
import usb.util

from tests.system import host
from tests.system.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

STOCK, REBUILT = "gadgetfs", "gadgetip_gadgetfs"
LIMIT = 4096  # bytes, as the version says
MOUNT = Path("/run/gadgetip-test-gadgetfs")
UDCS = Path("/sys/class/udc")

SETUP_EVENT = 3  # linux/usb/gadgetfs.h
EVENT = struct.Struct("=8sI")
SET_CONFIGURATION = 9
VENDOR_IN, VENDOR_OUT = 0xC0, 0x40
ECHO_REQUEST = 1  # IN: wValue bytes of a pattern. OUT: is remembered

DEVICE = struct.pack(
    "<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0xFF, 0, 0, 64, 0x1D6B, 0xFACE, 0x01FA, 0, 0, 0, 1
)


def pattern(length: int) -> bytes:
    return bytes(number * 7 & 0xFF for number in range(length))


def configuration(total: int) -> bytes:
    """One vendor interface without endpoints, then class-specific descriptors up to a length."""
    rest = bytes([9, 4, 0, 0, 0, 0xFF, 0, 0, 0])
    while missing := total - 9 - len(rest):
        length = missing if missing <= 255 else min(255, missing - 2)
        rest += bytes([length, 0x24]) + pattern(length - 2)
    return struct.pack("<BBHBBBBB", 9, 2, total, 1, 1, 0, 0x80, 50) + rest


class Gadget:
    """A device on GadgetFS, from the mount to its removal."""

    def __init__(self, size: int) -> None:
        self.configuration = configuration(size)
        self.received: list[bytes] = []
        self.udc = ""

    def __enter__(self) -> Gadget:
        MOUNT.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "gadgetfs", "gadgetfs", str(MOUNT)], check=True)
        self._wake_in, self._wake_out = os.pipe()
        (name,) = MOUNT.iterdir()
        self._ep0 = os.open(name, os.O_RDWR)
        self._thread = threading.Thread(target=self._serve)
        try:
            # Both speeds have the same configuration: it has no endpoints.
            os.write(self._ep0, struct.pack("=I", 0) + self.configuration * 2 + DEVICE)
            self.udc = next(
                path.name
                for path in UDCS.iterdir()
                if (path / "function").read_text().strip() == "USB Gadget filesystem"
            )
        except BaseException:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in a read of endpoint 0 would hold the file, and the gadget with it.
        os.write(self._wake_out, b"!")
        self._thread.join()
        self._close()

    def _close(self) -> None:
        os.close(self._ep0)
        os.close(self._wake_in)
        os.close(self._wake_out)
        subprocess.run(["umount", str(MOUNT)], check=True)
        MOUNT.rmdir()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._ep0, self._wake_in], [], [])
            if self._wake_in in ready:
                return
            # Exactly one event: in a data stage the same call would read data.
            packet, kind = EVENT.unpack(os.read(self._ep0, EVENT.size))
            if kind == SETUP_EVENT:
                self._answer(*struct.unpack("<BBHHH", packet))

    def _answer(self, direction: int, request: int, value: int, _: int, length: int) -> None:
        if (direction, request) == (VENDOR_IN, ECHO_REQUEST):
            os.write(self._ep0, pattern(value))
        elif direction == VENDOR_OUT and length:
            self.received.append(os.read(self._ep0, length))
        elif (direction, request) == (0, SET_CONFIGURATION):
            os.read(self._ep0, 0)
        else:
            self._stall(direction)

    def _stall(self, direction: int) -> None:
        """The wrong direction stalls; the error EL2HLT says that it did."""
        with suppress(OSError):
            if direction & 0x80:
                os.read(self._ep0, 0)
            else:
                os.write(self._ep0, b"")


@contextmanager
def loaded(module: str) -> Iterator[Path]:
    """One of the two modules, and only for as long as it is needed; gives its /sys/module."""
    subprocess.run(["modprobe", module], check=True)
    try:
        yield Path("/sys/module", module)
    finally:
        subprocess.run(["rmmod", module], check=True)


@pytest.fixture(scope="module", autouse=True)
def neither() -> Iterator[None]:
    """Neither is loaded when these tests begin, nor when they end."""
    known = subprocess.run(["modinfo", REBUILT], capture_output=True, check=False).returncode == 0
    if os.environ.get("GADGETIP_KERNEL") and not known:
        pytest.skip("board/dkms is built for the bench's own kernels only")
    for module in (STOCK, REBUILT):
        subprocess.run(["modprobe", "-r", module], check=True)
    yield
    assert not [module for module in (STOCK, REBUILT) if Path("/sys/module", module).exists()]


def enumerated(gadget: Gadget) -> Path:
    """The device as the host's kernel has read it, to the byte; both speeds alike."""
    path = host.wait_for_device(gadget.udc)
    assert host.descriptors(path) == DEVICE + gadget.configuration
    return path


def opened(gadget: Gadget) -> usb.core.Device:
    """The device as a program at the host has it."""
    path = enumerated(gadget)
    number = int((path / "busnum").read_text()), int((path / "devnum").read_text())
    # libusb hears of new devices from udev, after the kernel has them.
    return wait_for(
        lambda: usb.core.find(bus=number[0], address=number[1]), "the device in libusb's list"
    )


def test_the_stock_module_has_no_version() -> None:
    with loaded(STOCK) as module:
        assert not (module / "version").exists()
        assert not Path("/sys/module", REBUILT).exists()


def test_the_rebuilt_one_states_its_limit() -> None:
    with loaded(REBUILT) as module:
        assert (module / "version").read_text() == f"1.0+rbuf{LIMIT}\n"
        assert not Path("/sys/module", STOCK).exists()
    told = subprocess.run(
        ["modinfo", "-F", "version", REBUILT], check=True, capture_output=True, text=True
    )
    assert told.stdout == f"1.0+rbuf{LIMIT}\n"


@pytest.mark.parametrize(("first", "second"), [(STOCK, REBUILT), (REBUILT, STOCK)])
def test_only_one_of_the_two_can_be_loaded(first: str, second: str) -> None:
    with loaded(first):
        refused = subprocess.run(["modprobe", second], capture_output=True, check=False)
        assert refused.returncode != 0
        assert not Path("/sys/module", second).exists()


def test_a_mount_alone_loads_the_stock_one() -> None:
    with Gadget(18):
        assert Path("/sys/module", STOCK).exists()
        assert not Path("/sys/module", REBUILT).exists()
    subprocess.run(["rmmod", STOCK], check=True)


@pytest.mark.parametrize("size", [200, 257, 2000, LIMIT])
def test_a_configuration_up_to_the_limit_is_the_host_s_to_the_byte(size: int) -> None:
    with loaded(REBUILT), Gadget(size) as gadget:
        enumerated(gadget)
    host.wait_for_unplug(gadget.udc)


def test_control_data_up_to_the_limit_passes_both_ways() -> None:
    with loaded(REBUILT), Gadget(18) as gadget:
        device = opened(gadget)
        for length, asked in ((2000, 2000), (1024, 2000), (LIMIT, LIMIT), (0, LIMIT)):
            answer = device.ctrl_transfer(VENDOR_IN, ECHO_REQUEST, length, 0, asked)
            assert bytes(answer) == pattern(length)
        for length in (1, 2000, LIMIT):
            assert device.ctrl_transfer(VENDOR_OUT, ECHO_REQUEST, 0, 0, pattern(length)) == length
            # The host has been told before the gadget sees it.
            wait_for(lambda: gadget.received, "the data of a control request")
            assert gadget.received.pop() == pattern(length)
        usb.util.dispose_resources(device)


def test_the_stock_one_ends_at_256_bytes() -> None:
    with loaded(STOCK):
        with Gadget(256) as gadget:
            device = opened(gadget)
            with pytest.raises(usb.core.USBError):
                device.ctrl_transfer(VENDOR_OUT, ECHO_REQUEST, 0, 0, pattern(257))
            usb.util.dispose_resources(device)
        host.wait_for_unplug(gadget.udc)
        before = len(host.kernel_log())
        with Gadget(400) as gadget:
            wait_for(
                lambda: any("can't read configurations" in line for line in _log(before)),
                "the host giving up",
                60,
            )
            seen = host.device_behind(host.controller_of(gadget.udc))
            assert seen is None or not (seen / "bConfigurationValue").read_text().strip()


def _log(since: int) -> list[str]:
    return host.kernel_log()[since:]
