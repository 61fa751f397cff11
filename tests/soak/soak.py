"""The soak itself: everything is started, disturbed until the time is over, and looked at.

After each disturbance every attachment that it hit must be `running` again within a limit, and its
load must get on: more blocks confirmed, keys seen, lines received than when it was undone. A soak
stops at the first thing that is wrong, since what comes after tells nothing.
"""

import json
import random
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.soak import leaks
from tests.soak.devices import REPLICA_CABLES, SERVER_CABLES, busids_of, cables, plugged_in
from tests.soak.disturbances import DISTURBANCES, Disturbance
from tests.soak.journal import Journal
from tests.soak.kept import RUNNING, Kept, Shown
from tests.soak.keyboard import KeyboardLoad
from tests.soak.scene import Scene
from tests.soak.schedule import Drawn, Schedule
from tests.soak.serial import SerialLoad
from tests.soak.server import make_server
from tests.soak.storage import StorageLoad
from tests.soak.supervised import drawn_holds
from tests.system import host
from tests.system.importers import vhci_ports
from tests.system.stick import STORE
from tests.system.waiting import wait_for

if TYPE_CHECKING:
    from tests.soak.load import Load

START_LIMIT_S = 240.0
RECOVERY_LIMIT_S = 180.0
END_LIMIT_S = 30.0
ASK_S = 0.25
MakeKept = Callable[[str, Mapping[str, str], Mapping[str, str], Mapping[str, float]], Kept]
"""From the server's HOST; devices' ids, controllers, and for how long a lost link is held."""


@dataclass
class Plan:
    """How to soak, and where to write what came of it."""

    seconds: float
    seed: int
    server: str
    make_kept: MakeKept
    results: Path
    hold_s: float | None = None
    """For how long all of them hold a lost link; None leaves that to the seed."""
    only: frozenset[str] = frozenset()
    """Names of the disturbances; all, where it is empty."""


def soak(plan: Plan) -> dict[str, Any]:
    """Run one; gives the summary, which is written as well. `faults` is empty if all went well."""
    journal = Journal(plan.results / "soak.jsonl")
    names = list(REPLICA_CABLES)
    holds = drawn_holds(names, plan.seed)
    if plan.hold_s is not None:
        holds = dict.fromkeys(names, plan.hold_s)
    journal.write("begin", seed=plan.seed, seconds=plan.seconds, server=plan.server, hold_s=holds)
    with ExitStack() as stack:
        stack.enter_context(cables())
        devices = stack.enter_context(plugged_in())
        server = make_server(plan.server, [busids_of(cable) for cable in SERVER_CABLES])
        server.start()
        stack.callback(server.stop)
        for device in devices.values():
            server.export(device.busid)
        ids = {name: device.id for name, device in devices.items()}
        kept = plan.make_kept(f"127.0.0.1:{server.port}", ids, REPLICA_CABLES, holds)
        empty = leaks.footprint(kept, server.port)
        loads: dict[str, Load] = {}  # they want the scene, which wants them
        rng = random.Random(plan.seed)
        scene = Scene(devices, REPLICA_CABLES, server, kept, loads, rng)
        loads["storage"] = StorageLoad(REPLICA_CABLES["storage"], STORE / "soak.img", plan.seed)
        loads["keyboard"] = KeyboardLoad(
            REPLICA_CABLES["keyboard"], devices["keyboard"].node, plan.seed
        )
        loads["serial"] = SerialLoad(
            REPLICA_CABLES["serial"],
            devices["serial"].node,
            plan.seed,
            lambda: scene.reports("serial"),
        )
        soaking = _Soaking(plan, scene, journal, holds)
        kept.start()
        faults = soaking.run()
        try:
            kept.stop()
        except AssertionError as error:
            faults.append(f"the end: {error}")
        (plan.results / "soak-gadgetip.log").write_text(kept.log())
        (plan.results / "soak-kernel.log").write_text("\n".join(host.kernel_log()))
        faults += soaking.left_behind(empty)
    summary = soaking.summary(faults)
    (plan.results / "soak.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


class _Soaking:
    """The middle part: while everything is there."""

    def __init__(
        self, plan: Plan, scene: Scene, journal: Journal, holds: Mapping[str, float]
    ) -> None:
        self._plan = plan
        self._holds = holds
        self._scene = scene
        self._journal = journal
        kinds = [d for d in DISTURBANCES if not plan.only or d.name in plan.only]
        self._schedule = Schedule[Disturbance](kinds, scene.names, scene.random)
        self._began = time.time()
        self._done = 0

    def run(self) -> list[str]:
        """Start, disturb and stop the loads; what was wrong. What fails here is wrong as well."""
        loads = self._scene.loads.values()
        for load in loads:
            load.start()
        try:
            faults = self._disturb_until_the_end()
        except Exception:
            faults = [f"the soak itself failed:\n{traceback.format_exc()}"]
        for load in loads:
            load.stop()
        faults += [fault for load in loads for fault in load.faults]
        faults += leaks.wait_until_nothing_hangs()
        for fault in faults:
            self._journal.write("FAULT", text=fault)
        return faults

    def _disturb_until_the_end(self) -> list[str]:
        """What was wrong first; the loads' own faults are theirs to tell."""
        scene, loads = self._scene, self._scene.loads.values()
        if faults := self._wait_until_running(scene.names, START_LIMIT_S):
            return faults
        self._journal.write("all running", after_s=round(time.time() - self._began, 1))
        settled = leaks.footprint(scene.kept, scene.server.port)
        ends = time.time() + self._plan.seconds
        while time.time() < ends:
            if (faults := self._disturb()) or any(load.faults for load in loads):
                return faults
        if faults := self._wait_until_running(scene.names, RECOVERY_LIMIT_S):
            return faults
        return leaks.more(settled, leaks.footprint(scene.kept, scene.server.port))

    def left_behind(self, empty: leaks.Footprint) -> list[str]:
        """After the end of whoever kept them: what is still there."""
        scene = self._scene
        now: list[str] = []

        def nothing() -> bool:
            now[:] = leaks.more(empty, leaks.footprint(scene.kept, scene.server.port))
            return not now

        try:
            wait_for(nothing, "nothing of ours left", END_LIMIT_S)
        except AssertionError:
            return [f"left behind: {each}" for each in now]
        return []

    def summary(self, faults: list[str]) -> dict[str, Any]:
        """For the results."""
        return {
            "seed": self._plan.seed,
            "server": self._plan.server,
            "hold_s": self._holds,
            "seconds": round(time.time() - self._began),
            "disturbances": self._done,
            "recoveries": self._journal.recoveries(),
            "loads": {name: load.totals() for name, load in self._scene.loads.items()},
            "vhci_ports": vhci_ports(),
            "faults": faults,
        }

    def _disturb(self) -> list[str]:
        drawn = self._schedule.draw(time.time())
        if not drawn.disturbance.possible(self._scene):
            return []
        time.sleep(drawn.pause_s)  # the loads go on meanwhile: this is what the soak is
        hit = self._scene.names if drawn.disturbance.hits_all else [drawn.target]
        workers = self._workers(hit)
        began = time.time() if drawn.disturbance.breaks_link else 0.0
        self._do(drawn, hit)
        self._done += 1
        undone = time.time()
        faults = self._wait_until_running(hit, RECOVERY_LIMIT_S, began)
        if faults:
            return [f"after {drawn.disturbance.name} of {', '.join(hit)}: {f}" for f in faults]
        self._journal.recovered(drawn.disturbance.name, time.time() - undone, target=hit)
        if drawn.disturbance.keeps_link and self._workers(hit) != workers:
            return [f"{drawn.disturbance.name} of {hit} cost the link"]
        return []

    def _do(self, drawn: Drawn[Disturbance], hit: list[str]) -> None:
        scene, disturbance = self._scene, drawn.disturbance
        self._journal.write(
            "disturb", disturbance=disturbance.name, target=hit, lasts_s=round(drawn.lasts_s, 2)
        )
        disturbance.do(scene, drawn.target)
        for name in hit:
            scene.loads[name].link_lost(time.time())
        time.sleep(drawn.lasts_s)  # for how long it is so, drawn from the seed
        disturbance.undo(scene, drawn.target)

    def _workers(self, names: list[str]) -> list[int | None]:
        shown = self._scene.kept.shown()
        return [shown[name].worker_pid if name in shown else None for name in names]

    def _wait_until_running(
        self, names: list[str], limit_s: float, since: float = 0.0
    ) -> list[str]:
        """Until these run, since later than that, and get on; otherwise the state of everything."""
        before = {name: self._scene.loads[name].progress() for name in names}
        shown: dict[str, Shown] = {}

        def running() -> bool:
            nonlocal shown
            shown = self._scene.kept.shown()
            found = [shown[name] for name in names if name in shown]
            at_work = [each for each in found if each.state == RUNNING and each.since >= since]
            return len(at_work) == len(names) and all(
                now > was
                for name in names
                for was, now in zip(before[name], self._scene.loads[name].progress(), strict=True)
            )

        deadline = time.monotonic() + limit_s
        while not running():
            if time.monotonic() >= deadline:
                late = {n: (before[n], self._scene.loads[n].progress()) for n in names}
                return [f"not running in {limit_s:.0f} s: {list(shown.values())}; progress {late}"]
            time.sleep(ASK_S)  # the pace of asking
        return []
