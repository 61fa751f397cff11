"""The rounds: each device, each path, each distance, each work, interleaved.

Within a round a path is attached once and measured at every distance, because attaching takes
longer than a work. The paths change places in every second round, so that what drifts shows as
spread and not as a difference.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.performance import processor
from tests.performance.distance import Echo, distance
from tests.performance.paths import Link, MeasuredPath, Offered
from tests.performance.samples import Sample
from tests.performance.works import SUBJECTS, WORKS, Run, Subject
from tests.system.devices import Gadget
from tests.system.server import StockServer


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

    def _one_device(self, number: int, subject: Subject, works: Sequence[str]) -> None:
        paths = self._wanted.paths if number % 2 else self._wanted.paths[::-1]
        with subject.plugged() as gadget:
            for path in paths:
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
            outcome.figures,
            outcome.moved_bytes,
            outcome.operations,
            outcome.seconds,
            spent.user_s,
            spent.system_s,
            spent.machine_s,
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
    metrics = WORKS[sample.work].metrics
    figures = ", ".join(
        f"{name.removesuffix('_ms')} {value:.2f} {metrics[name].unit}"
        if name.endswith("_ms")
        else f"{value:.2f} {metrics[name].unit}"
        for name, value in sample.figures.items()
    )
    print(
        f"round {sample.round}, {sample.round_trip_ms:g} ms ({sample.measured_round_trip_ms:.1f}), "
        f"{sample.path}: {sample.work} {figures}; user {sample.user_s:.2f} s, system "
        f"{sample.system_s:.2f} s, machine {sample.machine_s:.2f} of {sample.seconds:.2f} s",
        file=sys.stderr,
        flush=True,
    )
