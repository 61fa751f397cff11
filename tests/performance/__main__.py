"""`make bench`: every way from a host to a device, in one boot, interleaved.

    python -m tests.performance
    python -m tests.performance --works seqread,rand4k --paths direct,vhci,gadget-native \\
        --round-trips 0,10 --rounds 3

in the machine of the bench. The same device, exported by the same stock server, is used in turn
through each path at each round trip. Each figure is the median over the rounds, with its spread;
what counts are ratios within one run. Written to the directory of results are `performance.json`
(every sample) and `performance.md`, after each round.
"""

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.performance import table
from tests.performance.distance import Echo
from tests.performance.measuring import Bench, Wanted
from tests.performance.paths import PATHS, MeasuredPath, Offered, offered
from tests.performance.samples import Results, written
from tests.performance.works import WORKS
from tests.system import modules
from tests.system.server import StockServer


def chosen(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Names from a list; all where it is empty. Commas or spaces are between them."""
    names = text.replace(",", " ").split()
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no {what} is called {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(name for name in known if name in names) if names else tuple(known)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance")
    parser.add_argument("--works", default="", help=f"all, or some of {', '.join(WORKS)}")
    names = ", ".join(path.name for path in PATHS)
    parser.add_argument("--paths", default="", help=f"all, or some of {names}")
    parser.add_argument("--round-trips", default="0,1,10,50", help="in ms")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a work lasts")
    parser.add_argument("--count", action="store_true", help="count URBs and system calls too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep; the status is 1 if a path failed."""
    asked = parsed(arguments)
    works = chosen(asked.works, list(WORKS), "work")
    names = chosen(asked.paths, [path.name for path in PATHS], "path")
    found = offered()
    paths, left_out = available(names, found)
    for name, why in left_out.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    round_trips = tuple(float(ms) for ms in asked.round_trips.replace(",", " ").split())
    wanted = Wanted(works, paths, round_trips, asked.rounds, asked.seconds)
    directory = Path(os.environ.get("GADGETIP_RESULTS", "/tmp"))
    began = time.monotonic()
    modules.load()
    with StockServer() as server, Echo() as echo:
        bench = Bench(wanted, found, server, echo)

        def kept() -> None:
            results = Results(
                about(wanted, time.monotonic() - began),
                {path.name: path.says for path in paths},
                left_out,
                bench.samples,
                [dataclasses.asdict(each) for each in bench.counted],
                bench.failed,
            )
            (directory / "performance.json").write_text(written(results))
            (directory / "performance.md").write_text(table.report(results, WORKS))

        bench.measure(kept)
        if asked.count:
            bench.count()
            kept()
    print((directory / "performance.md").read_text())
    return int(bool(bench.failed))


def available(
    names: Sequence[str], found: Offered
) -> tuple[tuple[MeasuredPath, ...], dict[str, str]]:
    """The paths of these names that can be gone here, and why the others cannot."""
    asked = [path for path in PATHS if path.name in names]
    left_out = {path.name: path.lacks(found) for path in asked}
    return (
        tuple(path for path in asked if not left_out[path.name]),
        {name: why for name, why in left_out.items() if why},
    )


def about(wanted: Wanted, seconds: float) -> dict[str, object]:
    """What a reader has to know of a run."""
    return {
        "kernel": os.uname().release,
        "processors": os.cpu_count(),
        "rounds": wanted.rounds,
        "seconds_a_work": wanted.seconds,
        "seconds_altogether": round(seconds),
        "works": {name: WORKS[name].shape for name in wanted.works},
    }


if __name__ == "__main__":
    sys.exit(main())
