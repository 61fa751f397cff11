"""The results as Markdown: against the targets, every median with its spread, what it cost."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.performance.metrics import Metric, Work
from tests.performance.samples import Results, Sample
from tests.performance.targets import AGAIN, USER_SHARE, VHCI, met, ratio, target, yardstick

GIB = 1 << 30
BUSY_FACTOR, BUSY_MS = 1.15, 1.0
NATIVE, PYTHON = "gadget-native", "gadget-python"
Works = Mapping[str, Work]


def number(value: float) -> str:
    """Three significant digits or a little more."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def cell(values: Sequence[float]) -> str:
    """The median, and the spread behind it."""
    if not values:
        return "-"
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"


def markdown(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(results: Results, works: Works) -> str:
    """Everything, by headings."""
    parts = [
        "# What `make bench` measured",
        _ABOUT.format(**results.about),
        "## Against the targets",
        _YARDSTICK,
        against_targets(results, works),
        "## Noise",
        noise(results, works),
        "## How far the server was",
        distances(results),
    ]
    for round_trip_ms in results.round_trips:
        parts += [f"## At {round_trip_ms:g} ms", medians(results, works, round_trip_ms)]
    parts += ["## Processor", _PROCESSOR, processor(results, works)]
    parts += ["## Memory", "Resident, MiB, at the most.", memory(results)]
    if results.counted:
        parts += ["## A URB", _URB, urbs(results, works)]
    parts += ["## Paths", paths(results)]
    if results.failed:
        parts += ["## Failed", "\n".join(f"* {what}" for what in results.failed)]
    return "\n\n".join(parts) + "\n"


_ABOUT = (
    "Linux {kernel}, {processors} emulated processors, {rounds} interleaved rounds in one boot, "
    "{seconds_a_work:g} s a work, {seconds_altogether} s altogether. Medians, and from least to "
    "most behind them. How it is measured, and what bounds it: [README](README.md)."
)
_YARDSTICK = (
    "C is the chain limit of the device's own path and stock vhci, see the README. With distance "
    "the yardstick is stock vhci."
)
_BUSY = (
    "**The computer was busy with something else.** The network was empty when this was measured: "
    "what is beyond the delay is the machine's waiting for a processor. These figures are not for "
    "quoting."
)
_PROCESSOR = (
    "Seconds of processor for each GiB moved, of the attachment's own processes and, behind the "
    "stroke, of the whole machine: device, server, network and host are in it. For works that are "
    "not measured in MB/s: milliseconds for each request or report."
)
_URB = (
    "What each URB that the server submits to the device costs the attachment's processes, at 0 "
    "ms: microseconds of processor, and system calls (strace; in a run of its own)."
)


def figures(results: Results, works: Works) -> Iterator[tuple[Work, str, Metric]]:
    """Every figure that was measured."""
    for work in (works[name] for name in results.works):
        for name, metric in work.metrics.items():
            yield work, name, metric


def against_targets(results: Results, works: Works) -> str:
    """Every figure that has a target: the ratio, what is wanted, and whether it is met."""

    def rows() -> Iterator[Sequence[str]]:
        for work, name, metric in figures(results, works):
            for round_trip_ms in results.round_trips:
                for path in results.paths:
                    values = results.values(path, work.name, name, round_trip_ms)
                    against = yardstick(results, path, work.name, name, metric, round_trip_ms)
                    wanted = target(path, work.name, name, round_trip_ms)
                    if not values or against is None or wanted is None:
                        continue
                    won = ratio(values, against)
                    yield (
                        work.figure(name),
                        path,
                        f"{round_trip_ms:g} ms",
                        number(statistics.median(values)),
                        f"{against.name} {number(against.value)}",
                        f"{won:.2f}",
                        f"{'≤' if metric.less_is_better else '≥'} {wanted:g}",
                        "yes" if met(won, wanted, metric) else "**no**",
                    )

    head = ("work", "path", "round trip", "median", "yardstick", "ratio", "wanted", "met")
    return markdown(head, rows())


def noise(results: Results, works: Works) -> str:
    """How far two measurements of the same thing are apart."""
    apart: list[tuple[float, str]] = []
    for work, name, _ in figures(results, works):
        for round_trip_ms in results.round_trips:
            once = results.values(VHCI, work.name, name, round_trip_ms)
            again = results.values(AGAIN, work.name, name, round_trip_ms)
            if once and again:
                won = statistics.median(again) / statistics.median(once)
                apart.append((max(won, 1 / won), f"{work.figure(name)} at {round_trip_ms:g} ms"))
    if not apart:
        return "Not measured: it takes the paths `vhci` and `vhci-again`."
    apart.sort()
    usual = apart[len(apart) // 2][0]
    percent = [f"{100 * (value - 1):.0f} %" for value in (usual, apart[-1][0])]
    return (
        f"Stock vhci, measured twice: the two medians differ by {percent[0]} (median over "
        f"{len(apart)} figures), at the most by {percent[1]} ({apart[-1][1]}). A ratio that is "
        "nearer to 1 than that says nothing."
    )


def distances(results: Results) -> str:
    """What was asked for and what a small message over TCP took."""

    def rows() -> Iterator[Sequence[str]]:
        for asked in results.round_trips:
            taken = [s.measured_round_trip_ms for s in results.samples if s.round_trip_ms == asked]
            yield f"{asked:g} ms", cell(taken)

    shown = markdown(("round trip", "measured, ms"), rows())
    return shown if not busy(results) else f"{shown}\n\n{_BUSY}"


def busy(results: Results) -> bool:
    """Whether a message over the empty network took much longer than it was asked to."""
    return any(
        statistics.median(
            s.measured_round_trip_ms for s in results.samples if s.round_trip_ms == asked
        )
        > asked * BUSY_FACTOR + BUSY_MS
        for asked in results.round_trips
    )


def medians(results: Results, works: Works, round_trip_ms: float) -> str:
    """Every median at one distance, a column a path; where there is a yardstick, the ratio."""

    def rows() -> Iterator[Sequence[str]]:
        for work, name, metric in figures(results, works):
            cells = [work.figure(name)]
            for path in results.paths:
                values = results.values(path, work.name, name, round_trip_ms)
                against = yardstick(results, path, work.name, name, metric, round_trip_ms)
                won = f", {ratio(values, against):.2f} {against.name}" if values and against else ""
                cells.append(cell(values) + won)
            yield cells

    return markdown(("work", *results.paths), rows())


def processor(results: Results, works: Works) -> str:
    """What each path cost."""
    return _by_work(results, works, _cost)


def _cost(samples: Sequence[Sample], work: Work) -> str:
    if not samples:
        return "-"
    own = sum(s.user_s + s.system_s for s in samples)
    machine = sum(s.machine_s for s in samples)
    if next(iter(work.metrics)) == "mb_per_s":
        scale = GIB / sum(s.moved_bytes for s in samples)
    else:
        scale = 1000 / sum(s.operations for s in samples)
    shown = number(own * scale) if samples[0].resident_kib else "0"
    return f"{shown} / {number(machine * scale)}"


def _by_work(results: Results, works: Works, show: Callable[[Sequence[Sample], Work], str]) -> str:
    def rows() -> Iterator[Sequence[str]]:
        for work in (works[name] for name in results.works):
            for ms in results.round_trips:
                cells = [show(results.of(path, work.name, ms), work) for path in results.paths]
                yield work.title, f"{ms:g} ms", *cells

    return markdown(("work", "round trip", *results.paths), rows())


def memory(results: Results) -> str:
    """Resident memory of each path's processes."""

    def rows() -> Iterator[Sequence[str]]:
        for path in results.paths:
            held = [s.resident_kib for s in results.samples if s.path == path and s.resident_kib]
            if held:
                most = [max(each.get(role, 0) for each in held) for role in ("parent", "worker")]
                yield path, *(f"{kib / 1024:.1f}" for kib in most)

    return markdown(("path", "parent", "worker"), rows())


def urbs(results: Results, works: Works) -> str:
    """Processor time and system calls of each URB."""

    def rows() -> Iterator[Sequence[str]]:
        for found in results.counted:
            calls = [f"{name} {each:.2f}" for name, each in found["by_call"].items()]
            yield (
                works[found["work"]].title,
                found["path"],
                str(found["urbs"]),
                number(found["user_us"]),
                number(found["system_us"]),
                share(results, found),
                f"{found['calls']:.2f}",
                ", ".join(calls[:5]),
            )

    head = ("work", "path", "URBs", "user, µs", "system, µs", "user, of Python's", "calls")
    return markdown((*head, "the most frequent"), rows())


def share(results: Results, found: Mapping[str, Any]) -> str:
    """The native pump's user time for a URB as a part of the Python pump's."""
    python = [
        each["user_us"]
        for each in results.counted
        if (each["path"], each["work"]) == (PYTHON, found["work"])
    ]
    if found["path"] != NATIVE or not python or not python[0]:
        return ""
    part = found["user_us"] / python[0]
    return f"{part:.2f} (≤ {USER_SHARE:g}: {'yes' if part <= USER_SHARE else '**no**'})"


def paths(results: Results) -> str:
    """What each path is, and which was left out."""
    lines = [f"* `{name}`: {says}." for name, says in results.paths.items()]
    lines += [f"* `{name}`: left out, {why}." for name, why in results.left_out.items()]
    return "\n".join(lines)
