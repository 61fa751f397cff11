"""Results made up for the tests: every path, two distances, figures that are easy to divide."""

from collections.abc import Mapping

from tests.performance.samples import Results, Sample

PATHS = ("direct", "vhci", "vhci-again", "gadget-python", "gadget-native", "vhci-pump")
READ_MB_PER_S = {"direct": 30.0, "vhci": 15.0, "vhci-again": 16.5, "vhci-pump": 12.0}


def sample(
    path: str, work: str, figures: Mapping[str, float], *, ms: float = 0, number: int = 1
) -> Sample:
    """One, which moved a MiB in 256 operations."""
    own = {"parent": 2048, "worker": 4096} if "pump" in path or "gadget" in path else {}
    return Sample(
        number,
        ms,
        ms + 0.5,
        path,
        work,
        dict(figures),
        1 << 20,
        256,
        1.0,
        0.125 if own else 0.0,
        0.125 if own else 0.0,
        0.5,
        own,
    )


def results() -> Results:
    """Sequential reads and reports at 0 and 10 ms, three rounds."""
    samples = []
    for number in (1, 2, 3):
        for path in PATHS:
            for ms in (0.0, 10.0):
                if path == "direct" and ms:
                    continue
                rate = READ_MB_PER_S.get(path, 11.0) / (1 + ms) * (1 + number / 100)
                samples.append(sample(path, "seqread", {"mb_per_s": rate}, ms=ms, number=number))
                delay = {"p50_ms": 2.0 + ms, "p99_ms": 4.0 + ms}
                samples.append(sample(path, "report", delay, ms=ms, number=number))
    about = {"kernel": "6.12", "processors": 2, "rounds": 3}
    about |= {"seconds_a_work": 1.5, "seconds_altogether": 60}
    counted = [
        {
            "path": path,
            "work": "seqread",
            "urbs": 900,
            "user_us": user_us,
            "system_us": 80.0,
            "calls": 1.5,
            "by_call": {"epoll_wait": 0.7, "io_submit": 0.5},
        }
        for path, user_us in (("gadget-native", 12.4), ("gadget-python", 200.0))
    ]
    paths = {path: f"says {path}" for path in PATHS}
    return Results(about, paths, {"gone": "why"}, samples, counted, ["it: broke"])
