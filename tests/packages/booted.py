"""A machine whose root is a chroot with the suite's kernel and the package: a real attachment.

The chroot becomes an ext4 image, the suite's own initramfs and systemd boot it, and `inside` runs
as a unit there. Its second serial port says what happened.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machine import boot, kernel, kvm
from tests.packages.report import PackageError, step

if TYPE_CHECKING:
    from tests.packages.chroot import Chroot

INSIDE = Path(__file__).with_name("inside.py")
LIMIT = 2700.0  # seconds, from the start of QEMU to the power-off
STICK_BLOCKS = 1024  # of 4096 bytes, as inside.py wants them
SIZE = "4G"  # of the root, sparse
UNIT_NAME = "packages-proof.service"
# On a busy computer without KVM, 90 s are not enough to load modules and start Python.
PATIENT = "[Manager]\\nDefaultTimeoutStartSec=900\\n"
UNIT = """\
[Unit]
Description=The packages' proof
After=systemd-udev-settle.service dbus.service

[Service]
ExecStart=/usr/bin/python3 -I /root/inside.py
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


def prove(name: str, chroot: Chroot, release: str, directory: Path) -> None:
    """Boot it, and wait for what it says; logs stay in the directory."""
    with step(name, f"a machine with Linux {release}: image"):
        image = make_image(chroot, release, directory)
        make_stick(directory / "stick.img")
    with step(name, "a machine: exported, attached, upgraded, purged"):
        try:
            said = run(release, directory, image)
        finally:
            image.unlink()
        for line in said.splitlines():
            if line.startswith(("step ", "done ")):
                print(f"{name}: {line}")
        if not [line for line in said.splitlines() if line.startswith("done ")]:
            raise PackageError(
                f"it says:\n{said}\nand its console, {directory}/console.log:\n"
                + boot.console_tail(directory / "console.log", 40)
            )


def make_image(chroot: Chroot, release: str, directory: Path) -> Path:
    """The root's filesystem; kernel and initramfs are put beside it."""
    chroot.beside(
        'cp "$1" "$copy/root/root/"; echo "$2" >"$copy/root/etc/systemd/system/$3"',
        str(INSIDE),
        UNIT,
        UNIT_NAME,
    )
    chroot.run(
        f"cp /mnt/higher.deb /root/; systemctl enable {UNIT_NAME};"
        " cd /etc/systemd; mkdir -p system.conf.d;"
        f" printf '{PATIENT}' >system.conf.d/patient.conf"
    )
    image = directory / "root.img"
    image.unlink(missing_ok=True)
    chroot.beside(
        'cp "$copy/root/boot/vmlinuz-$2" "$1/vmlinuz";'
        ' cp "$copy/root/boot/initrd.img-$2" "$1/initrd";'
        ' cd "$copy/root"; umount proc sys var/cache/apt/archives mnt; cd /;'
        f' truncate -s {SIZE} "$1/root.img"; mke2fs -q -t ext4 -d "$copy/root" "$1/root.img"',
        str(directory),
        release,
    )
    return image


def make_stick(image: Path) -> None:
    """A stick whose blocks say which they are."""
    image.write_bytes(
        b"".join(number.to_bytes(8, "little").ljust(4096, b"\0") for number in range(STICK_BLOCKS))
    )


def run(release: str, directory: Path, image: Path) -> str:
    """What the machine says on its second serial port."""
    accelerated = kvm.usable(kernel.obtain(newest=False))
    serial = directory / "said.log"
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-machine", f"q35,accel={'kvm' if accelerated else 'tcg'}"]
    command += [*([] if accelerated else boot.EMULATED_CPU), "-smp", "2", "-m", "1G"]
    command += ["-kernel", f"{directory}/vmlinuz", "-initrd", f"{directory}/initrd"]
    command += ["-append", "root=/dev/vda rw console=ttyS0 panic=-1 mitigations=off"]
    command += ["-drive", f"if=virtio,format=raw,cache=unsafe,file={image}"]
    command += ["-device", "qemu-xhci", "-device", "usb-storage,drive=stick,serial=PACKAGE1"]
    command += ["-drive", f"if=none,id=stick,format=raw,file={directory}/stick.img"]
    command += ["-serial", f"file:{directory}/console.log", "-serial", f"file:{serial}"]
    try:
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        print(f"not done after {LIMIT:.0f} s")
    return serial.read_text(errors="replace") if serial.exists() else ""
