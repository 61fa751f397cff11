"""What may be left behind: taken before and after, and compared.

While everything runs, twice, after the loads have settled: as many processes, open files, mounts,
gadgets, files in /run, connections; and not more memory than before but for a margin. When
everything has ended: nothing of ours.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.soak.kept import Kept
from tests.system import host
from tests.system.attachment import GADGETS, RUN
from tests.system.importers import vhci_ports

MEMORY_GROWTH = 1.10
MEMORY_MARGIN_KIB = 2048
FILES_MARGIN = 2
"""A hook or a command may be under way when files are counted."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds."""

    files: int
    threads: int
    rss_kib: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """What there is of ours; `held` goes by role, since processes come and go."""

    gadgets: tuple[str, ...]
    mounts: tuple[str, ...]
    run: tuple[str, ...]
    vhci: tuple[int, ...]
    connections: int
    stub_threads: int
    held: dict[str, Held]


def footprint(kept: Kept, port: int) -> Footprint:
    """Take it now."""
    roles = {f"supervisor {n}": pid for n, pid in enumerate(kept.supervisors())}
    for name, shown in kept.shown().items():
        roles |= {f"{name} attachment": shown.pid or 0, f"{name} worker": shown.worker_pid or 0}
    return Footprint(
        gadgets=tuple(sorted(p.name for p in GADGETS.glob("gadgetip*"))),
        mounts=tuple(sorted(m for m in _mounts() if "gadgetip" in m)),
        run=tuple(sorted(str(p.relative_to(RUN)) for p in RUN.rglob("*") if _is_kept(p))),
        vhci=tuple(vhci_ports()),
        connections=_connections(port),
        stub_threads=_stub_threads(),
        held={role: held for role, pid in roles.items() if (held := _held(pid))},
    )


def more(before: Footprint, after: Footprint) -> list[str]:
    """What there is more of than before."""
    found = []
    for name in ("gadgets", "mounts", "run", "vhci"):
        new = set(getattr(after, name)) - set(getattr(before, name))
        found += [f"{name}: {sorted(map(str, new))} is new"] if new else []
    for name in ("connections", "stub_threads"):
        was, now = getattr(before, name), getattr(after, name)
        found += [f"{name}: {now} instead of {was}"] if now > was else []
    for role, now in after.held.items():
        if (was := before.held.get(role)) is None:
            found.append(f"{role}: a process that was not there")
            continue
        if now.files > was.files + FILES_MARGIN:
            found.append(f"{role}: {now.files} open files instead of {was.files}")
        if now.threads > was.threads:
            found.append(f"{role}: {now.threads} threads instead of {was.threads}")
        if now.rss_kib > was.rss_kib * MEMORY_GROWTH + MEMORY_MARGIN_KIB:
            found.append(f"{role}: {now.rss_kib} KiB instead of {was.rss_kib}")
    return found


def _is_kept(path: Path) -> bool:
    """Whether it belongs to an attachment; locks, sockets and the server's own records stay."""
    return (
        not path.is_socket()
        and path.suffix not in {".lock", ".json"}
        and path.name != "attachments"
    )


def _held(pid: int) -> Held | None:
    own = Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
        return Held(
            files=len(list((own / "fd").iterdir())),
            threads=int(status["Threads"]),
            rss_kib=int(status["VmRSS"].split()[0]),
        )
    except (OSError, KeyError):
        return None


def _mounts() -> list[str]:
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]


def _connections(port: int) -> int:
    command = ["ss", "-Htn", "state", "established", "dport", "=", f":{port}"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout.splitlines())


def _stub_threads() -> int:
    names = [_comm(path) for path in Path("/proc").glob("[0-9]*/comm")]
    return sum(name.startswith("stub_") for name in names)


def _comm(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def wait_until_nothing_hangs() -> list[str]:
    """What does not wake up any more, if there is such a task."""
    try:
        host.wait_until_nothing_hangs()
    except AssertionError as error:
        return [str(error)]
    return []
