"""How long the parts of a boot took: by the console until the kernel starts, by its clock then.

U-Boot says when it starts the kernel, whose clock begins there; everything inside the board is in
that clock, systemd's time stamps as well as the kernel's log. It is not this computer's: see
`emulator`.
"""

import re
from dataclasses import dataclass

from tests.image.desk import KERNEL, U_BOOT, Desk
from tests.image.server import STICK_SERIAL

UNITS = (
    "gadgetip-provision.service",
    "gadgetip.service",
    "gadgetip-watch.service",
    "ssh.service",
)


@dataclass(frozen=True, slots=True)
class BootTimes:
    """Seconds: U-Boot's of this computer, the others of the board since its kernel started."""

    u_boot: float
    systemd: float
    units: dict[str, tuple[float, float]]  # when its main process started, when it was up
    attached: float

    def lines(self) -> list[tuple[str, float]]:
        """For the report."""
        found = [
            ("U-Boot, in seconds of this computer", self.u_boot),
            ("from the kernel's start until systemd's", self.systemd),
        ]
        for unit, (began, up) in self.units.items():
            found.append((f"from the kernel's start until {unit} is started", began))
            found.append((f"from the kernel's start until {unit} is up", up))
        return [*found, ("from the kernel's start until the host has the stick", self.attached)]


def boot_times(desk: Desk) -> BootTimes:
    """Of the boot that just ended, whose board is attached."""
    console = desk.console
    u_boot = console.wait_for(U_BOOT, 1).at
    kernel = console.wait_for(KERNEL, 1).at
    stamp = desk.ask("systemctl show -P UserspaceTimestampMonotonic")
    units = {}
    for unit in UNITS:
        text = desk.ask(
            "systemctl show -P ExecMainStartTimestampMonotonic -P ActiveEnterTimestampMonotonic "
            f"{unit}"
        )
        began, up = (int(word) / 1e6 for word in text.split())
        units[unit] = (began, up)
    log = desk.ask("dmesg")
    line = rf"^\[ *([0-9.]+)\] usb .*SerialNumber: {STICK_SERIAL}"
    [seen, *_] = re.findall(line, log, re.MULTILINE)
    return BootTimes(kernel - u_boot, int(stamp) / 1e6, units, float(seen))
