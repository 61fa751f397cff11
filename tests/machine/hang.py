"""What is said of a guest whose command ran out of time, before the guest is killed.

Three voices, from the one that says most to the one that is always there: the agent inside, which
also makes Python programs print their own stacks; the magic SysRq key, pressed through QEMU's
keyboard; and a non-maskable interrupt, on which the guest panics and prints the stack of the
processor that took it. Each is asked only if the one before stayed silent. QEMU adds where each
processor stands.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.machine.errors import BenchError
from tests.machine.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.machine.boot import Machine
    from tests.machine.client import Agent

AGENT_LIMIT = 5.0
KERNEL_PAUSE = 3.0  # for the kernel to print stacks through a serial line


def report(machine: Machine, agent: Agent, output: Callable[[bytes], object]) -> str:
    """Where the guest hangs, as well as can be said."""
    start = machine.console.stat().st_size
    parts = []
    seen = agent.blocked(AGENT_LIMIT, output)
    if seen is None:
        parts.append("the agent inside does not answer")
        parts += _through_monitor(machine, start)
    else:
        parts.append(seen)
        time.sleep(KERNEL_PAUSE)
        agent.abort(KERNEL_PAUSE, output)
    with machine.console.open("rb") as log:
        log.seek(start)
        said = log.read().decode(errors="replace").replace("\r", "").strip()
    parts.append(f"kernel log since:\n{said or '(nothing)'}")
    return "\n".join(parts)


def _through_monitor(machine: Machine, start: int) -> list[str]:
    parts = []
    try:
        with Monitor(machine.monitor) as monitor:
            registers = monitor.human("info registers -a").splitlines()
            parts += [line.strip() for line in registers if line.startswith(("CPU#", "RIP="))]
            for key in ("w", "l"):
                monitor.human(f"sendkey alt-sysrq-{key}")
                time.sleep(KERNEL_PAUSE / 2)
            if machine.console.stat().st_size == start:
                parts.append("nor does its kernel to the SysRq key: sent it an NMI")
                monitor.execute("inject-nmi")  # the guest panics, which ends QEMU
                time.sleep(KERNEL_PAUSE)
    except BenchError as error:
        parts.append(str(error))
    return parts
