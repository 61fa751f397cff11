"""What the bench promises every other test: the kernel, its drivers, hardware nobody here wrote."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

MODULES = ("dummy_hcd", "gadgetfs", "sch_netem", "usb_f_fs", "usbip_host", "vhci_hcd")


def test_the_kernel_is_6_12_or_later() -> None:
    numbers = os.uname().release.split(".")[:2]
    assert tuple(int(number) for number in numbers) >= (6, 12)


@pytest.mark.parametrize("module", MODULES)
def test_the_drivers_can_be_loaded(module: str) -> None:
    if module == "gadgetfs":
        # The rebuilt one stays loaded behind whoever has used it, and there is room for one.
        subprocess.run(["modprobe", "-r", "gadgetip_gadgetfs"], check=False)
    done = subprocess.run(["modprobe", module], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("/sys/module", module).is_dir()


def test_a_superspeed_stick_of_another_maker_is_plugged_in() -> None:
    sticks = [
        device
        for device in Path("/sys/bus/usb/devices").iterdir()
        if (device / "serial").exists() and (device / "serial").read_text() == "GADGETIP0001\n"
    ]
    assert [(stick / "speed").read_text() for stick in sticks] == ["5000\n"]


def test_configfs_is_mounted() -> None:
    assert Path("/sys/kernel/config").is_mount()


def test_results_can_be_written() -> None:
    results = Path(os.environ["GADGETIP_RESULTS"])
    (results / "written-by-the-guest").write_text("yes\n")
    assert (results / "written-by-the-guest").read_text() == "yes\n"
