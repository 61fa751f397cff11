"""`python -m tests.native.fuzz`: libFuzzer on the native pump's C, without Python.

    wire      the headers of USB/IP (`tests/fuzz/native/fuzz_wire.c`)
    engine    the engine and its lanes between a server, a host and Python that do anything
    relay     the relay between a server that does anything and the kernel

The tables of these are made small for it (`SMALL`): what happens when one is full is then as
near as everything else, and a run costs a hundredth of the time.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
NATIVE = CHECKOUT / "gadgetip/pump/native"
HARNESS = CHECKOUT / "tests/fuzz/native"
BUILD = CHECKOUT / "build/fuzz-native"

SMALL = {
    "engine.h": {"MAX_URBS": 48, "SEQNUM_PLACES": 128, "MAX_TOMBSTONES": 8, "MAX_REQUESTS": 224},
    "relay_inside.h": {
        "RELAY_URBS": 128,
        "LATE_URBS": 4,
        "INLET_BYTES": 8 << 10,
        "TO_SERVER_BYTES": 32 << 10,
        "TO_KERNEL_BYTES": 160 << 10,
        "ARRIVALS_BYTES": 136 << 10,
        "MAX_COMMAND_BYTES": 128 << 10,
        "MAX_POSTED_BYTES": 128 << 10,
    },
}
COMPILER = "clang-14"
FLAGS = (
    *("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-fno-omit-frame-pointer"),
    *("-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A program: its harness, which of our sources it tries, and how long an input may be.

    Sources that include Python's headers are left out of every one.
    """

    harness: tuple[str, ...]
    sources: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    longest: int = 1024


TARGETS = {
    "wire": Target(("fuzz_wire.c",), ("wire.c",), longest=64),
    "engine": Target(
        ("fuzz_engine.c", "fake_files.c", "server.c"),
        ("*.c",),
        left_out=("files.c", "relay*.c"),
        link=("-Wl,--wrap=pthread_create,--wrap=pthread_join",),
    ),
    "relay": Target(("fuzz_relay.c", "server.c"), ("relay*.c", "wire.c")),
}
_PYTHON = "#include <Python.h>"


def main() -> int:
    """Build and run; 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="tests.native.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    options = parser.parse_args()
    sources = small_sources()
    statuses = []
    for name in options.targets or TARGETS:
        target = TARGETS[name]
        program = build(name, target, sources)
        corpus = BUILD / f"{name}.corpus"
        corpus.mkdir(exist_ok=True)
        command = [str(program), f"-max_total_time={options.seconds}", "-timeout=20"]
        command += [
            f"-max_len={target.longest}",
            "-len_control=20",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        command += [f"-artifact_prefix={BUILD}/{name}-", str(corpus)]
        print(f"fuzz: {name}, {options.seconds} s", flush=True)
        statuses.append(subprocess.run(command, check=False).returncode)
    return int(any(statuses))


def small_sources() -> Path:
    """A copy of our sources with small tables."""
    folder = BUILD / "sources"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(NATIVE, folder)
    for header, constants in SMALL.items():
        text = (folder / header).read_text()
        for name, value in constants.items():
            constant = re.compile(rf"^#define {name} (\d+u|\(\d+u \* 1024\))", re.MULTILINE)
            text, count = constant.subn(f"#define {name} {value}u", text)
            if count != 1:
                sys.exit(f"fuzz: {header} does not say how large {name} is")
        (folder / header).write_text(text)
    return folder


def build(name: str, target: Target, sources: Path) -> Path:
    """Compile a target; raises CalledProcessError."""
    ours = [
        path
        for pattern in target.sources
        for path in sorted(sources.glob(pattern))
        if not any(path.match(each) for each in target.left_out) and _PYTHON not in path.read_text()
    ]
    program = BUILD / name
    harness = [HARNESS / each for each in target.harness]
    includes = [f"-I{sources}", f"-I{HARNESS}"]
    files = [str(path) for path in [*harness, *ours]]
    command = [COMPILER, *FLAGS, *includes, *target.link, *files, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
