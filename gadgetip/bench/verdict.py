"""What bounds an attachment, from its figures, with the arithmetic in words.

Four things can. Each leaves its own trace on the board:

* the **processor**: one thread of the worker, or the whole machine, is busy nearly all the time;
* the **bandwidth** of the link, where the network interface says its speed (Wi-Fi does not);
* the **round trip**. A host that waits for each answer before it asks again pays one for each
  exchange: exchanges a second times seconds a round trip is the share of time that this takes. The
  direction with fewer URBs tells how many exchanges there were: of a disk that is read these are
  the commands, of one that is written the answers. Where nothing waits, URBs a second times the
  round trip is how many are under way at a time (Little's law), and the window bounds those;
* else it is what waits at either end: the **device** (with its server) or the **host**.

The round trip is the shortest that the kernel has seen of late: the smoothed one has the device's
own time in it where the server's acknowledgement travels with the device's answer.
"""

from dataclasses import dataclass
from enum import StrEnum

from gadgetip.bench.figures import MB, Figures

BUSY_THREAD = 0.85
BUSY_MACHINE = 0.95
FULL_LINK = 0.8
WAITING_SHARE = 0.5
"""From here on, round trips are what most of the time goes to."""
ONE_AFTER_ANOTHER = 2.5
"""More round trips than this in one are not waited for one after another."""
FULL_WINDOW = 0.7


class Bound(StrEnum):
    """What bounds it; `ENDS` is the device or the host."""

    PROCESSOR = "processor"
    BANDWIDTH = "bandwidth"
    ROUND_TRIP = "round trip"
    ENDS = "device or host"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What bounds it, and why that is thought: sentences for people."""

    bound: Bound
    text: str


@dataclass(frozen=True, slots=True)
class Interface:
    """The network interface that the link goes through, and its nominal speed."""

    name: str
    bits_per_s: float


def judge(
    figures: Figures, *, window_urbs: int | None = None, interface: Interface | None = None
) -> Verdict:
    """What bounds the traffic of an attachment; something has moved.

    `window_urbs` bounds the URBs in flight on one endpoint; `interface` is None where its speed is
    not known.
    """
    return (
        _processor(figures)
        or _bandwidth(figures, interface)
        or _round_trip(figures, window_urbs)
        or _ends(figures)
    )


def exchanges(figures: Figures) -> float | None:
    """How many exchanges a second there are at most, each with URBs both ways."""
    if figures.urbs_in_per_s is None or figures.urbs_out_per_s is None:
        return None
    return min(figures.urbs_in_per_s, figures.urbs_out_per_s)


def round_trip_of(figures: Figures) -> float | None:
    """The round trip to calculate with, in seconds."""
    if figures.shortest_round_trip_s is not None:
        return figures.shortest_round_trip_s
    return figures.round_trip_s


def _processor(figures: Figures) -> Verdict | None:
    thread, machine = figures.busiest_thread or 0.0, figures.machine or 0.0
    cost = (figures.user_s_per_mb or 0.0) + (figures.system_s_per_mb or 0.0)
    if thread >= BUSY_THREAD:
        limit = f"{figures.bytes_per_s / thread / MB:.3g} MB/s"
        return Verdict(
            Bound.PROCESSOR,
            f"this board's processor: one thread is busy {_percent(thread)} of the time, and "
            f"{cost * 1000:.3g} ms a MB leave room for {limit} at this size of URBs",
        )
    if machine >= BUSY_MACHINE:
        ours = (figures.user_s + figures.system_s) / figures.active_s / figures.processors
        return Verdict(
            Bound.PROCESSOR,
            f"this machine's processors: they are busy {_percent(machine)} of the time, "
            f"{_percent(ours)} with the attachment's own processes; the rest is the kernel's work "
            "for USB and network, and other programs",
        )
    return None


def _bandwidth(figures: Figures, interface: Interface | None) -> Verdict | None:
    if interface is None or not interface.bits_per_s:
        return None
    for way, rate in (("towards the host", figures.in_per_s), ("to the device", figures.out_per_s)):
        share = rate * 8 / interface.bits_per_s
        if share >= FULL_LINK:
            return Verdict(
                Bound.BANDWIDTH,
                f"the link's bandwidth: {rate / MB:.3g} MB/s {way} are {_percent(share)} of the "
                f"{interface.bits_per_s / 1e6:.0f} Mbit/s of {interface.name}",
            )
    return None


def _round_trip(figures: Figures, window_urbs: int | None) -> Verdict | None:
    trip, turns = round_trip_of(figures), exchanges(figures)
    if trip is None or turns is None:
        return None
    share = turns * trip
    if WAITING_SHARE <= share <= ONE_AFTER_ANOTHER:
        return Verdict(
            Bound.ROUND_TRIP,
            f"the link's round trip: {turns:.3g} exchanges a second, one after another, of "
            f"{_ms(trip)} each are {_percent(min(share, 1.0))} of the time; "
            f"{figures.bytes_per_s / turns / 1000:.3g} kB move in one. Larger requests of the host "
            "or a shorter way help, bandwidth and processor do not",
        )
    under_way = max(figures.urbs_in_per_s or 0.0, figures.urbs_out_per_s or 0.0) * trip
    if window_urbs and under_way >= FULL_WINDOW * window_urbs:
        size = figures.bytes_per_urb or 0.0
        return Verdict(
            Bound.ROUND_TRIP,
            f"the link's round trip: {under_way:.3g} URBs of {size:.0f} B are under way at a time, "
            f"of {window_urbs} that the window of an endpoint has room for, and {_ms(trip)} pass "
            "until one is answered. A wider window (window_urbs in a profile) or a shorter way "
            "helps",
        )
    return None


def _ends(figures: Figures) -> Verdict:
    trip, turns = round_trip_of(figures), exchanges(figures)
    if turns is None:
        return Verdict(
            Bound.UNKNOWN,
            "it cannot be told from here: the kernel carries the traffic, and counts no URBs; "
            "`gadgetip bench --disk` measures a disk",
        )
    if trip is None:
        return Verdict(
            Bound.UNKNOWN, "it cannot be told: the link was lost, and its round trip is not known"
        )
    thread = figures.busiest_thread
    busy = "" if thread is None else f"the busiest thread here used {_percent(thread)} of a core, "
    return Verdict(
        Bound.ENDS,
        f"the device or the host: {busy}{turns:.3g} exchanges a second of {_ms(trip)} each are "
        f"{_percent(turns * trip)} of the time; for the rest one waits for the device's answers, "
        "for the host to ask, or for a link whose speed is not known here (`iperf3` tells it)",
    )


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
