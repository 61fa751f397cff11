"""What a machine is started with, and how a running one is told from one that was."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.machine import boot, devices
from tests.machine.kernel import Kernel

KERNEL = Kernel(Path("/nowhere/kernel"), "6.12.1")


def compose(tmp_path: Path, *, kvm: bool, qemu: tuple[str, ...] = ()) -> list[str]:
    hardware = boot.Hardware(KERNEL, kvm=kvm, memory="3G", qemu=qemu)
    return boot.compose(
        hardware, sockets=tmp_path, results=Path("/results"), emulator=Path("/emulator")
    )


def test_kvm_is_switched_off_unless_it_was_seen_to_work(tmp_path: Path) -> None:
    assert "--disable-kvm" in compose(tmp_path, kvm=False)
    assert "--disable-kvm" not in compose(tmp_path, kvm=True)


def test_the_callers_hardware_comes_last(tmp_path: Path) -> None:
    assert compose(tmp_path, kvm=False, qemu=("-device", "usb-mouse"))[-1] == "usb-mouse"


def test_the_kernels_command_line_is_not_too_long(tmp_path: Path) -> None:
    assert len(" ".join(boot.KERNEL_OPTIONS)) < 700  # of 2048, for all that virtme-ng adds


def test_a_disk_gets_a_file_and_its_path_survives_qemus_commas(tmp_path: Path) -> None:
    directory = tmp_path / "a,b"
    directory.mkdir()
    disk = devices.Device("disk", "0000:0000", "usb-storage", backing_megabytes=2)
    words = disk.arguments(directory)
    assert (directory / "disk.img").stat().st_size == 2 << 20
    assert "a,,b/disk.img" in words[1]
    assert words[3] == "usb-storage,bus=benchusb.0,drive=disk"


def test_what_the_guest_mounts_over_is_shared_explicitly() -> None:
    paths = [Path("/home/me/checkout"), Path("/var/cache/kernel"), Path("/run/x"), Path("/runner")]
    assert boot.shared(paths) == [Path("/var/cache/kernel"), Path("/run/x")]


def test_a_machine_is_read_as_it_was_saved(tmp_path: Path) -> None:
    machine = boot.Machine(
        directory=tmp_path,
        sockets=Path("/s"),
        results=Path("/r"),
        group=7,
        born="99",
        release="6.12.1",
        kvm=True,
    )
    machine.save()
    assert boot.load(tmp_path) == machine
    assert boot.load(tmp_path / "none") is None


def test_a_process_is_known_by_its_number_and_its_birth() -> None:
    assert boot.birth(os.getpid())
    with subprocess.Popen(["true"]) as gone:
        pass
    assert boot.birth(gone.pid) is None


def test_the_end_of_a_log_of_a_serial_line(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert boot.console_tail(log, 2) == ""
    log.write_bytes(b"one\r\ntwo\r\nthree\r\n")
    assert boot.console_tail(log, 2) == "two\nthree"
