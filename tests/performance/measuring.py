"""The rounds: each device, each path, each distance, each work, interleaved.

Within a round a path is attached once and measured at every distance, because attaching takes
longer than a work. The paths change places in every second round, so that what drifts shows as
spread and not as a difference.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.performance import processor
from tests.performance.counted import Counted, counted
from tests.performance.distance import Echo, distance
from tests.performance.paths import Link, MeasuredPath, Offered
from tests.performance.samples import Sample
from tests.performance.works import SUBJECTS, WORKS, Run, Subject
from tests.system.devices import Gadget
from tests.system.server import StockServer

COUNTED = ("seqread", "seqwrite", "rand4k", "bulkin", "bulkout", "reports")
COUNTED_LONGER = 3
"""The kernel tells user from system time by its tick: few ticks tell nothing."""
REASON_LENGTH = 400


@dataclass(frozen=True)
class Wanted:
    """What is to be measured."""

    works: tuple[str, ...]
    paths: tuple[MeasuredPath, ...]
    round_trips_ms: tuple[float, ...]
    rounds: int
    seconds: float
    """How long a work lasts."""


class Bench:
    """A server, a distance, and everything measured so far."""

    def __init__(self, wanted: Wanted, offered: Offered, server: StockServer, echo: Echo) -> None:
        self.samples: list[Sample] = []
        self.counted: list[Counted] = []
        self.failed: list[str] = []
        self._wanted = wanted
        self._offered = offered
        self._server = server
        self._echo = echo

    def measure(self, kept: Callable[[], None]) -> None:
        """All rounds; `kept` is called after each."""
        for number in range(1, self._wanted.rounds + 1):
            for subject in SUBJECTS:
                works = [work.name for work in subject.works if work.name in self._wanted.works]
                if works:
                    self._one_device(number, subject, works)
            kept()

    def count(self) -> None:
        """What a URB costs on the paths that have processes, side by side with the server."""
        subprocess.run(["modprobe", "usbmon"], check=True)
        asked = set(self._wanted.works) & set(COUNTED)
        for subject in SUBJECTS:
            works = [work.name for work in subject.works if work.name in asked]
            if not works:
                continue
            with subject.plugged() as gadget:
                bus = int((gadget.sysfs / "busnum").read_text())
                for path in self._wanted.paths:
                    if path.has_processes:
                        with self._noting(f"counting, {path.name}, {subject.name}"):
                            self._count_path(subject, works, gadget, path, bus)

    def _count_path(
        self, subject: Subject, works: Sequence[str], gadget: Gadget, path: MeasuredPath, bus: int
    ) -> None:
        with (
            path.standing(gadget, self._server, self._offered) as link,
            subject.opened(gadget, link.device) as runs,
        ):
            family = processor.family(link.processes)
            for work in works:
                seconds = self._wanted.seconds * COUNTED_LONGER
                found = counted(path.name, work, runs[work], seconds, bus, family)
                self.counted.append(found)
                print(found, file=sys.stderr, flush=True)

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """One path that fails costs no more than its own figures."""
        try:
            yield
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            reason = " ".join(str(error).split())[:REASON_LENGTH]
            self.failed.append(f"{what}: {type(error).__name__}: {reason}")
            print(self.failed[-1], file=sys.stderr, flush=True)

    def _one_device(self, number: int, subject: Subject, works: Sequence[str]) -> None:
        paths = self._wanted.paths if number % 2 else self._wanted.paths[::-1]
        with subject.plugged() as gadget:
            for path in paths:
                with self._noting(f"round {number}, {path.name}, {subject.name}"):
                    self._one_path(number, subject, works, gadget, path)

    def _one_path(
        self,
        number: int,
        subject: Subject,
        works: Sequence[str],
        gadget: Gadget,
        path: MeasuredPath,
    ) -> None:
        # No network lies between a host and its own port: the distance changes nothing there.
        far = [ms for ms in self._wanted.round_trips_ms if path.exported or not ms]
        if not far:
            return
        with (
            path.standing(gadget, self._server, self._offered) as link,
            subject.opened(gadget, link.device) as runs,
        ):
            for round_trip_ms in far:
                with distance(round_trip_ms):
                    measured = self._echo.round_trip_ms()
                    for work in works:
                        at = (number, round_trip_ms, measured)
                        self._one_work(at, path, link, work, runs[work])

    def _one_work(
        self, at: tuple[int, float, float], path: MeasuredPath, link: Link, work: str, run: Run
    ) -> None:
        family = processor.family(link.processes)
        before = processor.spent(family)
        outcome = run(self._wanted.seconds)
        spent = processor.spent(family) - before
        sample = Sample(
            *at,
            path.name,
            work,
            {name: round(value, 4) for name, value in outcome.figures.items()},
            outcome.moved_bytes,
            outcome.operations,
            round(outcome.seconds, 3),
            round(spent.user_s, 2),
            round(spent.system_s, 2),
            round(spent.machine_s, 2),
            _resident(family),
        )
        self.samples.append(sample)
        tell(sample)


def _resident(family: Sequence[int]) -> dict[str, int]:
    """Of the process that the user started, and of those that it has started."""
    each = [processor.resident_kib(process) for process in family]
    return {"parent": each[0], "worker": sum(each[1:])} if each else {}


def tell(sample: Sample) -> None:
    """A line on standard error."""
    work = WORKS[sample.work]
    figures = ", ".join(
        f"{work.figure(name)} {value:.2f}" for name, value in sample.figures.items()
    )
    print(
        f"round {sample.round}, {sample.round_trip_ms:g} ms ({sample.measured_round_trip_ms:.1f}), "
        f"{sample.path}: {figures}; user {sample.user_s:.2f} s, system "
        f"{sample.system_s:.2f} s, machine {sample.machine_s:.2f} of {sample.seconds:.2f} s",
        file=sys.stderr,
        flush=True,
    )
