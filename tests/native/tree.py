"""A copy of the checkout, below `build/`, whose native module is built for a sanitizer.

A whole copy, because it needs no word about sanitizers in the product: whatever runs with the copy
as its directory and its PYTHONPATH finds that module where it always finds it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
NATIVE = Path("gadgetip/pump/native")
ADDED = (Path("tests/native/planted.c"), Path("tests/native/undefined_reports.c"))
"""Compiled into the module that is built for a sanitizer, and into no other."""


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """`kinds` as -fsanitize has them; `preloaded` libraries come before the interpreter.

    `options` are environment variables; a "{logs}" in them is where reports are to go.
    """

    name: str
    kinds: str
    preloaded: tuple[str, ...]
    options: dict[str, str]
    planted: dict[str, tuple[int, str]]
    """Functions of planted.c: the argument, and what the report must name."""


ADDRESS = Sanitizer(
    "address",
    "address,undefined",
    # The last one for exceptions in C++, which the first looks for when it is loaded.
    ("libasan.so", "libubsan.so", "libstdc++.so"),
    {
        # Reports decide, not the status: leaks of others are no failure, whatever a program is.
        "ASAN_OPTIONS": "log_path={logs}/report:detect_leaks=1:exitcode=0:abort_on_error=1:"
        "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "GADGETIP_UBSAN_REPORTS": "{logs}/report-undefined",
        "PYTHONMALLOC": "malloc",  # Python's own allocator would hide leaks and overflows
    },
    {
        "planted_overflow": (16, "heap-buffer-overflow"),
        "planted_use_after_free": (3, "heap-use-after-free"),
        "planted_leak": (77, "leak of 77 byte"),
        "planted_undefined": (32, "shift exponent"),
    },
)
THREAD = Sanitizer(
    "thread",
    "thread",
    ("libtsan.so",),
    {
        "TSAN_OPTIONS": "log_path={logs}/report:exitcode=0:die_after_fork=0:"
        "report_signal_unsafe=0:history_size=7:second_deadlock_stack=1",
    },
    {"planted_race": (100_000, "data race")},
)
SANITIZERS = {each.name: each for each in (ADDRESS, THREAD)}


def make(sanitizer: Sanitizer) -> Path:
    """The copy, with the module built anew; raises CalledProcessError."""
    tree = CHECKOUT / "build" / "sanitize" / sanitizer.name
    shutil.rmtree(tree, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    ).stdout
    for name in listed.rstrip("\0").split("\0"):
        if (CHECKOUT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, tree / name, follow_symlinks=False)
    for source in ADDED:
        shutil.copy(CHECKOUT / source, tree / NATIVE)
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--force"],
        check=True,
        cwd=tree,
        env=os.environ | {"GADGETIP_NATIVE": "require", "GADGETIP_SANITIZE": sanitizer.kinds},
    )
    return tree


def variables(sanitizer: Sanitizer, tree: Path, logs: str) -> dict[str, str]:
    """What a program's environment must have beside its own."""
    options = {name: value.format(logs=logs) for name, value in sanitizer.options.items()}
    preload = " ".join(str(_library(name)) for name in sanitizer.preloaded)
    return options | {"LD_PRELOAD": preload, "PYTHONPATH": str(tree)}


def _library(name: str) -> Path:
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout
    return Path(found.strip()).resolve()
