"""What `gadgetip bench` prints and its stable JSON shapes, of what was measured."""

from collections.abc import Mapping
from pathlib import Path

from gadgetip.bench.disk import DiskSpeed
from gadgetip.bench.latencies import Spread
from gadgetip.bench.reports import Reports
from gadgetip.bench.sample import Sample
from gadgetip.bench.watching import Watched
from gadgetip.cli.status_text import size


def progress(at_s: float, before: Sample, after: Sample) -> str:
    """A line for each report, `at_s` seconds after the beginning."""
    incoming = after.traffic.bytes_in - before.traffic.bytes_in
    outgoing = after.traffic.bytes_out - before.traffic.bytes_out
    return f"  {at_s:4.0f} s: {size(incoming)} to the host, {size(outgoing)} to the device"


def watched_lines(watched: Watched) -> list[str]:
    """The figures of an attachment, for people."""
    f = watched.figures
    lines = [
        f"moved      {f.active_s:.1f} of {watched.seconds:.4g} s",
        f"speed      {_speed(f.in_per_s)} to the host, {_speed(f.out_per_s)} to the device",
    ]
    if f.urbs_in_per_s is not None and f.urbs_out_per_s is not None:
        mean = "" if f.bytes_per_urb is None else f"; {f.bytes_per_urb:.0f} bytes each on average"
        lines.append(f"URBs       {f.urbs_in_per_s:.4g}/s in, {f.urbs_out_per_s:.4g}/s out{mean}")
    trip = f"round trip {_ms(f.round_trip_s)} on average, {_ms(f.shortest_round_trip_s)} at least"
    lines.append(f"{trip}; {_count(f.retransmits)} segments sent again")
    if f.user_s_per_mb is not None and f.system_s_per_mb is not None:
        lines.append(
            f"processor  {f.user_s_per_mb * 1000:.3g} ms user, {f.system_s_per_mb * 1000:.3g} ms "
            "system a MB, of the attachment's processes"
        )
    if f.busiest_thread is not None and f.machine is not None:
        lines.append(
            f"           busiest thread {_percent(f.busiest_thread)} of a core; the machine "
            f"{_percent(f.machine)} of {f.processors}"
        )
    lines.append(f"memory     {size(watched.resident_bytes)} resident")
    lines.append(
        f"trouble    {_count(f.errors)} URBs failed, {_count(f.halts)} halts, "
        f"{size(f.discarded)} discarded"
    )
    return [*lines, f"bound by   {watched.verdict.text}"]


def watched_json(watched: Watched) -> dict[str, object]:
    """The stable shape of `bench NAME --json`; shares are 0 to 1, and null is "not known"."""
    running, f = watched.running, watched.figures
    return {
        "measured": "attachment",
        "name": running.supervised,
        "server": running.server,
        "busid": running.busid,
        "to": running.to,
        "udc": running.udc,
        "port": running.port,
        "seconds": round(watched.seconds, 3),
        "active_s": round(f.active_s, 3),
        "bytes_in": f.bytes_in,
        "bytes_out": f.bytes_out,
        "bytes_in_per_s": round(f.in_per_s),
        "bytes_out_per_s": round(f.out_per_s),
        "urbs_in": f.urbs_in,
        "urbs_out": f.urbs_out,
        "urbs_in_per_s": _rounded(f.urbs_in_per_s, 1),
        "urbs_out_per_s": _rounded(f.urbs_out_per_s, 1),
        "bytes_per_urb": _rounded(f.bytes_per_urb, 1),
        "window_urbs": running.window_urbs,
        "round_trip_ms": _as_ms(f.round_trip_s),
        "shortest_round_trip_ms": _as_ms(f.shortest_round_trip_s),
        "retransmits": f.retransmits,
        "user_s_per_mb": _rounded(f.user_s_per_mb, 6),
        "system_s_per_mb": _rounded(f.system_s_per_mb, 6),
        "busiest_thread": _rounded(f.busiest_thread, 3),
        "machine": _rounded(f.machine, 3),
        "processors": f.processors,
        "resident_bytes": watched.resident_bytes,
        "errors": f.errors,
        "halts": f.halts,
        "discarded": f.discarded,
        "bound": str(watched.verdict.bound),
        "why": watched.verdict.text,
    }


def disk_line(speed: DiskSpeed) -> str:
    """One way of a disk, for people."""
    in_sequence = f"{_speed(speed.bytes_per_s)} in sequence ({size(speed.sequential_bytes)})"
    at_random = speed.random
    if at_random is None:
        return f"{in_sequence}; ended before anything was read or written at random"
    return (
        f"{in_sequence}; 4 KiB at random {speed.random_per_s:.4g}/s, p50 {_ms(at_random.p50_s)}, "
        f"p99 {_ms(at_random.p99_s)}, most {_ms(at_random.most_s)} ({at_random.count})"
    )


def disk_json(disk: Path, speeds: Mapping[str, DiskSpeed]) -> dict[str, object]:
    """The stable shape of `bench --disk --json`; null and ways left out were not measured."""
    ways = {
        way: {
            "bytes_per_s": round(speed.bytes_per_s),
            "sequential_bytes": speed.sequential_bytes,
            "random_4k_per_s": _rounded(speed.random_per_s, 1),
            "random_4k": None if speed.random is None else _spread_json(speed.random),
        }
        for way, speed in speeds.items()
    }
    return {"measured": "disk", "disk": str(disk), **ways}


def reports_lines(reports: Reports) -> list[str]:
    """What came of a keyboard or mouse, for people."""
    between = reports.intervals
    pauses = f"{reports.pauses} pauses"
    if between is None:
        return [f"{reports.count} reports, {pauses}: too few to measure"]
    return [
        f"{reports.count} reports, {pauses} left out; times between two:",
        f"p50 {_ms(between.p50_s)}, p99 {_ms(between.p99_s)}, least {_ms(between.least_s)}, most "
        + _ms(between.most_s),
    ]


def reports_json(path: Path, seconds: float, reports: Reports) -> dict[str, object]:
    """The stable shape of `bench --hid --json`; `seconds` is how long it was measured."""
    between = reports.intervals
    return {
        "measured": "reports",
        "file": str(path),
        "seconds": round(seconds, 3),
        "reports": reports.count,
        "pauses": reports.pauses,
        "intervals": None if between is None else _spread_json(between),
    }


def _spread_json(spread: Spread) -> dict[str, object]:
    return {
        "count": spread.count,
        "least_ms": _as_ms(spread.least_s),
        "p50_ms": _as_ms(spread.p50_s),
        "p99_ms": _as_ms(spread.p99_s),
        "most_ms": _as_ms(spread.most_s),
    }


def _speed(bytes_per_s: float) -> str:
    return f"{size(round(bytes_per_s))}/s"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"


def _as_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)
