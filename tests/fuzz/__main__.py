"""`python -m tests.fuzz [TARGET...] [--seconds N] [--messages N]`: what is said is at `tests.fuzz`.

Several targets share the seconds; each runs in a process of its own. Inputs that failed are saved
below build/fuzz/TARGET, and the exit status is 1.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import engines
from tests.fuzz.measured import Meter
from tests.fuzz.targets import NAMES

BUILD = Path(__file__).parents[2] / "build" / "fuzz"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=0, help="altogether; 60 without any limit")
    parser.add_argument("--messages", type=int, default=0, help="of each target")
    parser.add_argument("--jobs", type=int, default=1, help="how many targets run side by side")
    parser.add_argument("--engine", choices=("auto", "atheris", "random"), default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the random engine")
    parser.add_argument("--table", action="store_true", help="print RSS along the way")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.targets) - set(NAMES):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {NAMES}")
    if not given.seconds and not given.messages:
        given.seconds = 60.0
    return given


def _one(given: argparse.Namespace) -> int:
    """Run one target in this process; returns the exit status."""
    (name,) = given.targets
    meter = Meter(given.seconds, given.messages)
    folder = BUILD / name

    def done(meter: Meter) -> None:
        print(f"fuzz {name} ({given.engine}): {meter.line()}", flush=True)
        if given.table:
            print(meter.table(), flush=True)

    if given.engine == "atheris":
        engines.run_atheris(name, meter, folder, done)
    else:
        engines.run_random(name, meter, folder, given.seed)
        done(meter)
        if meter.growth:  # atheris holds memory of its own
            print(f"fuzz {name}: {meter.growth}", file=sys.stderr)
            return 1
    return 0


def _engine(wish: str) -> str:
    if wish != "auto":
        return wish
    if find_spec("atheris"):
        return "atheris"
    print("fuzz: there is no atheris for this Python; mutation at random instead", flush=True)
    return "random"


def main() -> int:
    """Run the targets, each in a process; returns the exit status."""
    given = _arguments()
    if given.one:
        return _one(given)
    names = given.targets or list(NAMES)
    engine = _engine(given.engine)
    seconds = given.seconds * min(given.jobs, len(names)) / len(names)

    def run(name: str) -> int:
        command = [sys.executable, "-m", "tests.fuzz", name, "--one", "--engine", engine]
        command += ["--seconds", str(seconds), "--messages", str(given.messages)]
        command += ["--seed", str(given.seed), *(["--table"] if given.table else [])]
        limit = seconds + 60 if seconds else None
        return subprocess.run(command, check=False, timeout=limit).returncode

    with ThreadPoolExecutor(given.jobs) as jobs:
        failed = [name for name, status in zip(names, jobs.map(run, names), strict=True) if status]
    if failed:
        print(f"fuzz: {', '.join(failed)} failed; inputs are kept in {BUILD}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
