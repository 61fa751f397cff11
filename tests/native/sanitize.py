"""`python -m tests.native.sanitize address|thread`: tests with the native pump under a sanitizer.

First every planted mistake must be reported, else silence would prove nothing. Then unit tests run
on this machine and system tests in virtual ones, one machine after the other; native.mk says which.
The verdict is the tests' and the reports'.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.native.reports import Report, parse_reports
from tests.native.tree import SANITIZERS, Sanitizer, make, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

PLANTED_LIMIT_S = 60
LOGS_INSIDE = "/tmp/sanitizer"
CALL = """\
import ctypes, sys
from gadgetip.pump.native_module import native_module
module = native_module()
assert module is not None
getattr(ctypes.CDLL(module.__file__), sys.argv[1])(int(sys.argv[2]))
"""


def main() -> int:
    """Run what was asked for; 0 if all tests pass and nothing of ours was reported."""
    parser = argparse.ArgumentParser(prog="tests.native.sanitize", description=__doc__)
    parser.add_argument("sanitizer", choices=sorted(SANITIZERS))
    parser.add_argument("--unit", nargs="*", default=[], help="unit tests to run")
    parser.add_argument("--system", nargs="*", default=[], help="system tests to run")
    parser.add_argument("--second", nargs="*", default=[], help="those of a machine with --qemu")
    parser.add_argument("--qemu", default="", help="more QEMU arguments of the second, quoted")
    parser.add_argument("--limit", default="3600", help="seconds for the tests of a machine")
    parser.add_argument("--memory", default="3G", help="a virtual machine's")
    options = parser.parse_args()
    sanitizer = SANITIZERS[options.sanitizer]
    tree = make(sanitizer)
    sees_what_is_planted(sanitizer, tree)
    statuses = []
    if options.unit:
        statuses.append(unit_tests(sanitizer, tree, options.unit))
    if options.system:
        statuses.append(system_tests(sanitizer, tree, options, options.system))
    if options.second:
        more = [f"--qemu={options.qemu}"] if options.qemu else []
        statuses.append(system_tests(sanitizer, tree, options, options.second, more))
    return max(statuses, default=0)


def sees_what_is_planted(sanitizer: Sanitizer, tree: Path) -> None:
    """Exit with a message if a mistake goes unnoticed."""
    for function, (argument, named) in sanitizer.planted.items():
        logs = fresh(tree / "build" / "planted")
        subprocess.run(
            [sys.executable, "-c", CALL, function, str(argument)],
            check=False,
            cwd=tree,
            env=os.environ | variables(sanitizer, tree, str(logs)),
            stdin=subprocess.DEVNULL,
            timeout=PLANTED_LIMIT_S,
        )
        reports = ours(logs)
        if not any(named in report.text for report in reports):
            sys.exit(f"sanitize: {function} was not reported: {sanitizer.kinds} is blind here")
        print(f"sanitize: {function}: reported, as it should be", flush=True)


def unit_tests(sanitizer: Sanitizer, tree: Path, tests: list[str]) -> int:
    """Run tests on this machine."""
    logs = fresh(tree / "build" / "unit")
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        check=False,
        cwd=tree,
        env=os.environ | variables(sanitizer, tree, str(logs)),
        stdin=subprocess.DEVNULL,
    ).returncode
    return verdict("unit tests", status, logs)


def system_tests(
    sanitizer: Sanitizer,
    tree: Path,
    options: argparse.Namespace,
    tests: Sequence[str],
    more: Sequence[str] = (),
) -> int:
    """Run tests in a virtual machine, which has the copy as its checkout and `more` arguments."""
    results = fresh(tree / "build" / ("second" if tests is options.second else "system"))
    inside = variables(sanitizer, tree, LOGS_INSIDE)
    # Looking for leaks takes seconds at the end of every program there, and unit tests look too.
    if "ASAN_OPTIONS" in inside:
        inside["ASAN_OPTIONS"] += ":detect_leaks=0"
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in inside.items())
    # Programs without privilege write reports too; what the machine writes is lost with it.
    script = (
        f"mkdir -m 1777 {LOGS_INSIDE}; "
        f"{settings} python -m pytest -p no:cacheprovider {shlex.join(tests)}; status=$?; "
        f'cp -r {LOGS_INSIDE} "$GADGETIP_RESULTS"/; exit $status'
    )
    machine = [sys.executable, "-m", "tests.machine", "run", "--limit", options.limit]
    machine += ["--memory", options.memory, "--results", str(results), *more]
    machine += ["--", "sh", "-c", script]
    status = subprocess.run(machine, check=False, cwd=tree, stdin=subprocess.DEVNULL).returncode
    return verdict("system tests", status, results / Path(LOGS_INSIDE).name)


def verdict(what: str, status: int, logs: Path) -> int:
    """Print what was reported of ours; 1 for reports or for tests that failed."""
    reports = ours(logs)
    for report in reports:
        print(report.text, end="\n\n")
    result = "passed" if status == 0 else f"failed (status {status})"
    print(f"sanitize: {what} {result}; {len(reports)} reports about our C", flush=True)
    return int(bool(status or reports))


def ours(logs: Path) -> list[Report]:
    """The reports about our C, among all that were written."""
    texts = [path.read_text(errors="replace") for path in sorted(logs.glob("report*"))]
    return [report for text in texts for report in parse_reports(text) if report.ours]


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
