"""What was measured, one sample for each work done: the raw results, and how they are written."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One work, done once through one path at one distance."""

    round: int
    round_trip_ms: float
    measured_round_trip_ms: float
    path: str
    work: str
    figures: dict[str, float]
    """By the name of the metric."""
    moved_bytes: int
    operations: int
    seconds: float
    user_s: float = 0.0
    """Of the attachment's processes; `machine_s` is everybody's, the kernel's threads included."""
    system_s: float = 0.0
    machine_s: float = 0.0
    resident_kib: dict[str, int] = field(default_factory=dict)
    """Of the attachment's processes after the work: `parent` and `worker`."""


@dataclass(frozen=True)
class Results:
    """A whole run. `about` is what a reader has to know of it: kernel, shapes, seconds a work."""

    about: dict[str, Any]
    paths: dict[str, str]
    left_out: dict[str, str]
    samples: list[Sample]
    counted: list[dict[str, Any]] = field(default_factory=list)
    """What a URB costs: tests/performance/counted.py."""
    failed: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def values(self, path: str, work: str, metric: str, round_trip_ms: float) -> list[float]:
        """One figure, a value a round."""
        return [
            sample.figures[metric]
            for sample in self.of(path, work, round_trip_ms)
            if metric in sample.figures
        ]

    def of(self, path: str, work: str, round_trip_ms: float) -> list[Sample]:
        """The samples of one cell."""
        wanted = (path, work, round_trip_ms)
        return [s for s in self.samples if (s.path, s.work, s.round_trip_ms) == wanted]

    @property
    def round_trips(self) -> list[float]:
        """The distances, ascending."""
        return sorted({sample.round_trip_ms for sample in self.samples})

    @property
    def works(self) -> list[str]:
        """The works that were done, in order."""
        return list(dict.fromkeys(sample.work for sample in self.samples))


def written(results: Results) -> str:
    """As JSON, a sample a line."""
    head = {name: value for name, value in vars(results).items() if name != "samples"}
    lines = ",\n".join(json.dumps(dataclasses.asdict(sample)) for sample in results.samples)
    return json.dumps(head, indent=2).removesuffix("\n}") + f',\n  "samples": [\n{lines}\n]}}\n'


def read(text: str) -> Results:
    """What `written` has written."""
    found: dict[str, Any] = json.loads(text)
    return Results(
        dict(found["about"]),
        dict(found["paths"]),
        dict(found["left_out"]),
        [Sample(**sample) for sample in found["samples"]],
        list(found["counted"]),
        list(found["failed"]),
    )
