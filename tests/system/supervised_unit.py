"""`gadgetip run` as the shipped unit starts it, in its sandbox, under the bench's systemd."""

import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from gadgetip.errors import GadgetipError
from gadgetip.service.asking import ask
from gadgetip.supervisor.address import SERVICE
from gadgetip.supervisor.config import CONFIG_FILE
from gadgetip.vhci import list_ports
from tests.system.attachment import GADGETS
from tests.system.booted_systemd import BOARD, Systemd
from tests.system.supervising import Answering
from tests.system.waiting import wait_for

UNIT = "gadgetip.service"
UNITS = BOARD / "systemd"
VHCI_ONLY = "gadgetip-vhci-only.conf"
PROCESSES = Path("/sys/fs/cgroup/system.slice", UNIT, "cgroup.procs")
START_LIMIT_S = 120.0
HOOKS = CONFIG_FILE.with_name("hooks.d")
HOOK = """#!/bin/sh
powers=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)
test -w /usr && files=writable || files=read-only
echo "$GADGETIP_NAME,$GADGETIP_STATE,$powers,$files" >> /run/gadgetip/told
"""

# All else is as shipped. A checkout may be in a home, or in /tmp, of which the unit has one of its
# own; nobody wants to wait half a minute.
CHECKOUT = BOARD.parent
IN_TMP = any(CHECKOUT.is_relative_to(path) for path in ("/tmp", "/var/tmp"))
BENCH = f"""
[Service]
ProtectHome=read-only
{f"BindReadOnlyPaths={CHECKOUT}" if IN_TMP else ""}
WatchdogSec=10
"""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What the unit has: processes, gadgets in configfs, ports of vhci_hcd, files in /run."""

    processes: int
    gadgets: list[str]
    ports: int
    files: list[str]


class SupervisedUnit(Answering):
    """The unit with a configuration and a hook where they belong; nobody has started it yet."""

    def __init__(self, attachments: str) -> None:
        self.systemd = Systemd({f"{UNIT}.d/bench.conf": BENCH})
        self._attachments = attachments

    def __enter__(self) -> "SupervisedUnit":
        HOOKS.mkdir(mode=0o755, parents=True)
        hook = HOOKS / "tell"
        hook.write_text(HOOK)
        hook.chmod(0o755)
        self.configure(self._attachments)
        self.systemd.__enter__()
        self.service = replace(SERVICE, path=self.file(SERVICE.path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.systemd.run("systemctl", "stop", UNIT, check=False)
        self.systemd.__exit__(kind, error, trace)
        shutil.rmtree(CONFIG_FILE.parent)

    def configure(self, attachments: str) -> None:
        """Write the configuration; who runs does not know yet."""
        CONFIG_FILE.write_text(f'schema = "config/1"\n[supervisor]\nretry_max_s = 4\n{attachments}')

    def file(self, path: Path) -> Path:
        """A file of the unit's /run or /var, as it is reached from here."""
        return self.systemd.root / path.relative_to("/")

    @property
    def log(self) -> str:
        """What the journal has of the unit."""
        return self.systemd.run("journalctl", "--no-pager", "-u", UNIT, check=False)

    def entries(self) -> list[dict[str, Any]]:
        """The same, with all fields."""
        lines = self.systemd.run("journalctl", "--no-pager", "-o", "json", "-u", UNIT)
        return [json.loads(line) for line in lines.splitlines()]

    def property(self, name: str) -> str:
        """What systemd knows of the unit."""
        return self.systemd.run("systemctl", "show", "--value", "-p", name, UNIT).strip()

    def wait_until_active(self, other_than: int = 0) -> int:
        """Wait until it answers and systemd takes it for started; gives its main process.

        It is another process than `other_than`. The socket is asked, for systemctl costs a process.
        """

        def answers() -> int | None:
            with suppress(GadgetipError):  # one that is killed while it is asked
                answer = ask(self.service, {"command": "status"}, START_LIMIT_S)
                pid: int = answer["supervisor"]["pid"] if answer else 0
                return pid if pid not in {0, other_than} else None
            return None

        try:
            pid = wait_for(answers, f"{UNIT} answers", START_LIMIT_S)
            wait_for(lambda: self.property("ActiveState") == "active", f"{UNIT} active")
        except AssertionError as error:
            raise AssertionError(f"{error}; the journal:\n{self.log[-8000:]}") from None
        assert int(self.property("MainPID")) == pid
        return pid

    def told(self) -> list[list[str]]:
        """What the hook was told and saw: name, state, capabilities in hexadecimal, files."""
        try:
            text = self.file(Path("/run/gadgetip/told")).read_text()
        except FileNotFoundError:
            return []
        return [line.split(",") for line in text.splitlines()]

    def settled(self, processes: int) -> Belongings:
        """What it has once only so many processes are left: hooks run for a moment."""

        def alone() -> Belongings | None:
            now = self.belongings()
            return now if now.processes == processes else None

        return wait_for(alone, f"{processes} processes of {UNIT}")

    def wait_until_it_has(self, before: Belongings) -> None:
        """Wait until there is what there was `before`: nothing more, and nothing less."""
        try:
            wait_for(lambda: self.belongings() == before, "what there was")
        except AssertionError as error:
            raise AssertionError(f"{error}: {before}; now {self.belongings()}") from None

    def belongings(self) -> Belongings:
        """What it has now; process ids are no part of it."""
        try:
            processes = len(self.file(PROCESSES).read_text().split())
        except FileNotFoundError:
            processes = 0
        run = [self.file(Path("/run", name)) for name in ("gadgetip", "vhci_hcd")]
        return Belongings(
            processes=processes,
            gadgets=sorted(path.name for path in GADGETS.glob("gadgetip.*")),
            ports=sum(not port.is_free for port in list_ports()),
            files=sorted(
                re.sub(r"^[0-9]+\.json$", "PID.json", path.name)
                for each in run
                for path in each.rglob("*")
            ),
        )
