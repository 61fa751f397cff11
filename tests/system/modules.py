"""The kernel modules of the bench."""

import subprocess

MODULES = (
    ("dummy_hcd", "num=4"),
    ("libcomposite",),
    ("usb_f_mass_storage",),
    ("usb_f_fs",),
    ("usb-storage",),
    ("usbip-host",),
    ("usbip-vudc",),
    ("vhci-hcd",),
    ("sch_netem",),
)


def load() -> None:
    """Load all of them; and the loopback interface is the network."""
    for module in MODULES:
        subprocess.run(["modprobe", *module], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
