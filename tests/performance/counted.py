"""What one URB costs the attachment's processes: processor time, and system calls.

A run of its own after the rounds, because counting disturbs. URBs are counted where the server
submits them to the device: usbmon tells how many events it could not keep for a reader that never
reads. Processor time is taken without strace, system calls with it, in two runs of the same work.
"""

import fcntl
import os
import re
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.performance import processor
from tests.performance.works import Run

MON_IOCG_STATS = 0x8008_9203  # _IOR(0x92, 3, struct mon_bin_stats), drivers/usb/mon/mon_bin.c
STATISTICS = struct.Struct("II")  # events queued, events dropped
EVENTS_PER_URB = 2  # submitted, completed
ATTACH_LIMIT_S = 30.0
ROW = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_0-9]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counted:
    """Of one work through one path: per URB, microseconds and system calls."""

    path: str
    work: str
    urbs: int
    user_us: float
    system_us: float
    calls: float
    by_call: dict[str, float]
    """The system calls by name, those that come once in a hundred URBs or more often."""


class UrbCounter:
    """How many URBs there were on a bus while the context lasted."""

    def __init__(self, bus: int) -> None:
        self._node = Path(f"/dev/usbmon{bus}")

    def __enter__(self) -> "UrbCounter":
        self._file = os.open(self._node, os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def urbs(self) -> int:
        """Since it was opened; to be asked once, as asking forgets what was dropped."""
        queued, dropped = STATISTICS.unpack(
            fcntl.ioctl(self._file, MON_IOCG_STATS, bytes(STATISTICS.size))
        )
        return int(queued + dropped) // EVENTS_PER_URB


def counted(
    path: str, work: str, run: Run, seconds: float, bus: int, family: Sequence[int]
) -> Counted:
    """Do the work twice: for processor time, and for system calls."""
    with UrbCounter(bus) as counter:
        before = processor.spent(tuple(family))
        run(seconds)
        spent = processor.spent(tuple(family)) - before
        urbs = max(1, counter.urbs())
    with UrbCounter(bus) as counter:
        with traced(family) as report:
            run(seconds)
        traced_urbs = max(1, counter.urbs())
    calls = {name: count / traced_urbs for name, count in calls_of(report.read_text()).items()}
    report.unlink()
    return Counted(
        path,
        work,
        urbs,
        1e6 * spent.user_s / urbs,
        1e6 * spent.system_s / urbs,
        sum(calls.values()),
        {name: round(each, 3) for name, each in calls.items() if each >= 0.01},
    )


@contextmanager
def traced(family: Sequence[int]) -> Iterator[Path]:
    """`strace -c` of these processes and all their threads; its report, once the context ends."""
    handle, name = tempfile.mkstemp(suffix=".strace")
    os.close(handle)
    command = ["strace", "-c", "-f", "-o", name]
    for process in family:
        command += ["-p", str(process)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert strace.stderr is not None
        for _ in family:  # "strace: Process N attached"
            line = strace.stderr.readline()
            assert "attached" in line, line
        yield Path(name)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate(timeout=ATTACH_LIMIT_S)


def calls_of(report: str) -> dict[str, int]:
    """How often each system call was made, most often first, from `strace -c`."""
    found = {name: int(count) for count, name in ROW.findall(report) if name != "total"}
    return dict(sorted(found.items(), key=lambda each: -each[1]))
