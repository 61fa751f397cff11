"""What the processes of an attachment use: keeper, worker, and whatever else they have started."""

import os
import time
from collections.abc import Collection
from pathlib import Path

from gadgetip.bench.kernel_texts import (
    ProcessStat,
    parse_machine_stat,
    parse_process_stat,
    parse_resident,
)
from gadgetip.bench.sample import ProcessorUse

PROC = Path("/proc")


def family(pid: int) -> frozenset[int]:
    """A process and all that descend from it, as they are now."""
    parents: dict[int, int] = {}
    for path in PROC.glob("[0-9]*"):
        stat = _stat(path / "stat")
        if stat is not None:
            parents[int(path.name)] = stat.parent
    found = {pid}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return frozenset(found)


def used_by(pids: Collection[int]) -> ProcessorUse:
    """What these processes, and the machine, have used so far; one that is gone counts nothing."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    user = system = 0
    threads: dict[int, float] = {}
    for pid in pids:
        stat = _stat(PROC / f"{pid}/stat")
        if stat is None:
            continue
        user += stat.user_ticks
        system += stat.system_ticks
        for path in (PROC / f"{pid}/task").glob("[0-9]*"):
            if (each := _stat(path / "stat")) is not None:
                threads[int(path.name)] = (each.user_ticks + each.system_ticks) * tick_s
    machine = parse_machine_stat((PROC / "stat").read_text())
    return ProcessorUse(
        time.monotonic(),
        user * tick_s,
        system * tick_s,
        threads,
        machine.busy_ticks * tick_s if machine else 0.0,
        machine.processors if machine else 1,
    )


def resident_bytes(pids: Collection[int]) -> int | None:
    """The resident memory of the largest of these processes, shared pages included."""
    sizes = []
    for pid in pids:
        try:
            size = parse_resident((PROC / f"{pid}/status").read_text())
        except OSError:
            continue
        if size is not None:
            sizes.append(size)
    return max(sizes, default=None)


def _stat(path: Path) -> ProcessStat | None:
    try:
        return parse_process_stat(path.read_bytes())
    except OSError:
        return None
