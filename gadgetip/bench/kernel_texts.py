"""What /proc says of processors, processes and routes, read without effects (proc(5))."""

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """Of a process or a thread: its parent, and clock ticks in user space and in the kernel."""

    parent: int
    user_ticks: int
    system_ticks: int


def parse_process_stat(data: bytes) -> ProcessStat | None:
    """/proc/PID/stat; the name in it may hold anything, so count from its end. None: it is none."""
    fields = data.rpartition(b")")[2].split()
    try:
        return ProcessStat(int(fields[1]), int(fields[11]), int(fields[12]))
    except (IndexError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class MachineStat:
    """Clock ticks that all processors together were not idle, and how many processors."""

    busy_ticks: int
    processors: int


def parse_machine_stat(text: str) -> MachineStat | None:
    """/proc/stat; waiting for a disk is idle. None where it is none."""
    whole = re.search(r"^cpu +(\d+(?: \d+){6,})$", text, re.MULTILINE)
    processors = len(re.findall(r"^cpu\d+ ", text, re.MULTILINE))
    if whole is None or not processors:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft, *rest = map(int, whole[1].split())
    stolen = rest[0] if rest else 0
    return MachineStat(user + nice + system + interrupts + soft + stolen, processors)


def parse_resident(text: str) -> int | None:
    """VmRSS of /proc/PID/status, in bytes; None without one."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def interface_to(address: IPv4Address, routes: str) -> str | None:
    """The interface by which /proc/net/route sends packets to an address; None: by none.

    The longest prefix wins, then the least metric. Numbers are hexadecimal, in the byte order of
    the machine.
    """
    best: tuple[int, int, str] | None = None
    for line in routes.splitlines()[1:]:
        fields = line.split()
        try:
            name, flags, metric = fields[0], int(fields[3], 16), int(fields[6])
            network = IPv4Network((_address(fields[1]), _prefix(fields[7])))
        except (IndexError, ValueError, struct.error):
            continue
        if not flags & _UP or address not in network:
            continue
        candidate = (-network.prefixlen, metric, name)
        best = candidate if best is None else min(best, candidate)
    return None if best is None else best[2]


_UP = 1  # RTF_UP, include/uapi/linux/route.h


def _address(text: str) -> int:
    return int.from_bytes(struct.pack("=I", int(text, 16)), "big")


def _prefix(text: str) -> int:
    return _address(text).bit_count()
