"""Watching a running attachment while somebody uses the device.

Its process writes down what has moved, about once a second while it changes
(`attachment.running`). It is looked at four times as often, and what its processes have used is
noted when there is something new, so that both are of the same moment.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gadgetip.attachment.running import Running, list_running
from gadgetip.attachment.traffic import Traffic
from gadgetip.bench.figures import LATE_S, REPORT_S, Figures, reduce_samples
from gadgetip.bench.interface import interface_of
from gadgetip.bench.processes import family, resident_bytes, used_by
from gadgetip.bench.sample import Sample
from gadgetip.bench.verdict import Verdict, judge
from gadgetip.errors import GadgetipError

LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of one attachment; `resident_bytes` are those of its largest process."""

    running: Running
    seconds: float
    figures: Figures
    verdict: Verdict
    resident_bytes: int | None


def watch(
    running: Running,
    seconds: float,
    on_sample: Callable[[float, Sample, Sample], None] = lambda *_: None,
) -> Watched:
    """Watch an attachment for so long; `on_sample` gets how long it has been, and the last two.

    Ctrl-C ends it earlier, with what was seen until then. Raises `GadgetipError` when nothing
    moved, or the device was lost meanwhile.
    """
    pids = family(running.pid)
    began = time.monotonic()
    samples = [_first(running, began, pids)]
    try:
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, left))
            if (sample := _newer(running, samples[-1], pids)) is not None:
                samples.append(sample)
                on_sample(time.monotonic() - began, *samples[-2:])
    except KeyboardInterrupt:
        seconds = time.monotonic() - began
    if time.monotonic() - samples[-1].at_s > REPORT_S + LATE_S:  # it has been idle since
        samples.append(Sample(time.monotonic(), samples[-1].traffic, used_by(pids)))
    figures = reduce_samples(samples)
    if not figures.active_s:
        raise GadgetipError(
            f"nothing moved in {seconds:.3g} s: use the device at the host meanwhile, for instance "
            "copy a large file (--seconds gives you more time)"
        )
    verdict = judge(
        figures, window_urbs=running.window_urbs, interface=interface_of(running.server)
    )
    return Watched(running, seconds, figures, verdict, resident_bytes(pids))


def _first(running: Running, now_s: float, pids: frozenset[int]) -> Sample:
    """What has moved so far; one that has not said anything yet has moved nothing.

    A count that is older than a report holds until now.
    """
    at_s = running.counted_s or 0.0
    recent = now_s - at_s <= REPORT_S
    return Sample(
        at_s if recent else now_s, running.traffic or Traffic(0, 0, 0, 0, 0, 0, 0), used_by(pids)
    )


def _newer(running: Running, last: Sample, pids: frozenset[int]) -> Sample | None:
    """The newest count, if there is one; raises `GadgetipError` where another worker counts."""
    now = _as_it_is(running)
    if now.traffic is None or now.counted_s is None or now.counted_s <= last.at_s:
        return None
    if _fell(last.traffic, now.traffic):
        raise _lost(running)
    return Sample(now.counted_s, now.traffic, used_by(pids))


def _fell(before: Traffic, after: Traffic) -> bool:
    """Whether it counts from nothing again: another worker does."""
    return after.bytes_in < before.bytes_in or after.bytes_out < before.bytes_out


def _as_it_is(running: Running) -> Running:
    """The same attachment now; raises `GadgetipError` if it is not there any more."""
    for each in list_running():
        if (each.pid, each.start_ticks, each.busid) == (
            running.pid,
            running.start_ticks,
            running.busid,
        ):
            return each
    raise _lost(running)


def _lost(running: Running) -> GadgetipError:
    return GadgetipError(
        f"{running.device} of {running.server} was detached or lost meanwhile: measure again"
    )
