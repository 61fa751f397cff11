"""What a measurement cost: processor time and resident memory, from /proc.

A path's own processes are the attachment's: the keeper and its worker. Kernel threads (usbip's, the
host controllers', usb-storage's) belong to no path, so the whole machine's busy time is taken too.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROCESSORS = os.cpu_count() or 1
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
UTIME, STIME = 11, 12  # of /proc/PID/stat after the name: proc(5) fields 14 and 15


@dataclass(frozen=True)
class Spent:
    """Seconds of processor: the attachment's processes, and the whole machine.

    Only differences mean anything.
    """

    user_s: float
    system_s: float
    machine_s: float

    def __sub__(self, earlier: "Spent") -> "Spent":
        return Spent(
            self.user_s - earlier.user_s,
            self.system_s - earlier.system_s,
            self.machine_s - earlier.machine_s,
        )


def family(roots: tuple[int, ...]) -> tuple[int, ...]:
    """These processes and all that descend from them, parents first."""
    found = list(roots)
    for process in found:  # grows while it is walked
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return tuple(found)


def spent(processes: tuple[int, ...]) -> Spent:
    """Since each of the processes began; the whole machine's since some moment in the past."""
    user = system = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[UTIME])
        system += int(fields[STIME])
    values = Path("/proc/stat").read_text().partition("\n")[0].split()
    idle = int(values[4]) + int(values[5])  # idle, iowait
    # What is not idle is sampled at the kernel's tick; idle time is measured.
    machine = time.monotonic() * PROCESSORS - idle / TICKS_PER_S
    return Spent(user / TICKS_PER_S, system / TICKS_PER_S, machine)


def resident_kib(process: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_KIB
