"""What the samples of a watched attachment come to.

The traffic is counted once a second while it changes. So a sample that is not like the one before
tells of one second at most, however long ago that one was: the sum of these seconds is the time in
which something moved, and rates are those of that time. Whoever starts to copy five seconds after
the bench is not told half the speed. A second in which it began or ended counts for as much of one
as it moved, beside the usual second between; one in which next to nothing moved (a host asks an
idle disk whether it is still there) counts for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from gadgetip.bench.sample import Sample

REPORT_S = 1.0
"""How often a worker counts."""
LATE_S = 0.5
"""A report that came so much sooner or later is still that of one second."""
QUIET = 0.02
"""Of what the busiest second moved: less is not what is measured."""
MB = 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """What moved while the attachment was watched; None is "cannot be known".

    `active_s` is how long something moved; rates are a second of that. Times of a processor are
    seconds; shares are those of one processor (`busiest_thread`), or of all of them (`machine`).
    """

    active_s: float
    bytes_in: int
    bytes_out: int
    urbs_in: int | None
    urbs_out: int | None
    discarded: int | None
    halts: int | None
    errors: int | None
    round_trip_s: float | None
    shortest_round_trip_s: float | None
    retransmits: int | None
    user_s: float
    system_s: float
    busiest_thread: float | None
    machine: float | None
    processors: int

    @property
    def bytes_per_s(self) -> float:
        """Both ways."""
        return self._rate(self.bytes_in + self.bytes_out)

    @property
    def in_per_s(self) -> float:
        """Bytes a second towards the host."""
        return self._rate(self.bytes_in)

    @property
    def out_per_s(self) -> float:
        """Bytes a second towards the device."""
        return self._rate(self.bytes_out)

    @property
    def urbs_in_per_s(self) -> float | None:
        """URBs a second that came from the device."""
        return None if self.urbs_in is None else self._rate(self.urbs_in)

    @property
    def urbs_out_per_s(self) -> float | None:
        """URBs a second that went to the device."""
        return None if self.urbs_out is None else self._rate(self.urbs_out)

    @property
    def bytes_per_urb(self) -> float | None:
        """The mean, both ways."""
        if self.urbs_in is None or self.urbs_out is None:
            return None
        urbs = self.urbs_in + self.urbs_out
        return (self.bytes_in + self.bytes_out) / urbs if urbs else None

    @property
    def user_s_per_mb(self) -> float | None:
        """Seconds of a processor in user space for 10^6 bytes."""
        return self._cost(self.user_s)

    @property
    def system_s_per_mb(self) -> float | None:
        """Seconds of a processor in the kernel, on behalf of our processes, for 10^6 bytes."""
        return self._cost(self.system_s)

    def _rate(self, count: int) -> float:
        return count / self.active_s if self.active_s else 0.0

    def _cost(self, seconds: float) -> float | None:
        moved = self.bytes_in + self.bytes_out
        return seconds / (moved / MB) if moved else None


@dataclass(slots=True)
class _Interval:
    """Two samples, one after the other; an edge is where traffic begins or ends."""

    before: Sample
    after: Sample
    is_edge: bool = False

    @property
    def is_steady(self) -> bool:
        """Whether it is that of one report.

        Of a longer one nobody knows when in it something moved; a shorter one is the first, and its
        report tells of what was before it too.
        """
        return abs(self.after.at_s - self.before.at_s - REPORT_S) <= LATE_S

    @property
    def seconds(self) -> float:
        """Of its traffic, at most."""
        return self.after.at_s - self.before.at_s if self.is_steady else REPORT_S

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.moved / self.seconds

    @property
    def moved(self) -> int:
        """Bytes, or URBs where no byte did."""
        before, after = self.before.traffic, self.after.traffic
        moved = after.bytes_in - before.bytes_in + after.bytes_out - before.bytes_out
        urbs = [_grown(before.urbs_in, after.urbs_in), _grown(before.urbs_out, after.urbs_out)]
        return moved or sum(each or 0 for each in urbs)


def reduce_samples(samples: Sequence[Sample]) -> Figures:
    """The figures of samples, each later than the one before; there is at least one.

    The counters of one attachment only grow: whoever takes samples sees to that.
    """
    first, last = samples[0], samples[-1]
    active = _active(samples)
    steady = [each for each in active if each.is_steady]
    steady_s = sum(each.after.used.at_s - each.before.used.at_s for each in steady)
    threads = {
        thread: sum(
            _thread_s(each.after, thread) - _thread_s(each.before, thread) for each in steady
        )
        for thread in last.used.threads_s
    }
    busy_s = sum(each.after.used.busy_s - each.before.used.busy_s for each in steady)
    known = steady_s > 0
    before, after = first.traffic, last.traffic
    return Figures(
        active_s=_active_s(active),
        bytes_in=after.bytes_in - before.bytes_in,
        bytes_out=after.bytes_out - before.bytes_out,
        urbs_in=_grown(before.urbs_in, after.urbs_in),
        urbs_out=_grown(before.urbs_out, after.urbs_out),
        discarded=_grown(before.discarded, after.discarded),
        halts=_grown(before.halts, after.halts),
        errors=_grown(before.errors, after.errors),
        round_trip_s=_mean(
            [each.after.traffic.round_trip_s for each in active] or [after.round_trip_s]
        ),
        shortest_round_trip_s=after.shortest_round_trip_s,
        retransmits=_grown(before.retransmits, after.retransmits),
        user_s=last.used.user_s - first.used.user_s,
        system_s=last.used.system_s - first.used.system_s,
        busiest_thread=max(threads.values(), default=0.0) / steady_s if known else None,
        machine=busy_s / steady_s / last.used.processors if known else None,
        processors=last.used.processors,
    )


def _active(samples: Sequence[Sample]) -> list[_Interval]:
    """The intervals in which something moved that is worth it, beside the busiest one."""
    intervals = [_Interval(a, b) for a, b in pairwise(samples)]
    least = QUIET * max((each.rate for each in intervals), default=0.0)
    active: list[_Interval] = []
    for number, each in enumerate(intervals):
        if each.moved and each.rate >= least:
            before, after = (
                intervals[max(number - 1, 0) : number],
                intervals[number + 1 : number + 2],
            )
            quiet = any(beside.rate < least for beside in before + after)
            steady = all(this.is_steady for this in [each, *after])
            each.is_edge = quiet or not steady
            active.append(each)
    return active


def _active_s(active: Sequence[_Interval]) -> float:
    inner = [each.rate for each in active if not each.is_edge]
    usual = median(inner) if inner else None
    return sum(
        min(each.seconds, each.moved / usual) if each.is_edge and usual else each.seconds
        for each in active
    )


def _thread_s(sample: Sample, thread: int) -> float:
    return sample.used.threads_s.get(thread, 0.0)


def _grown(before: int | None, after: int | None) -> int | None:
    """One that was lost over a held link counts from nothing again: no figure then."""
    if before is None or after is None or after < before:
        return None
    return after - before


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
