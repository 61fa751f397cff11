"""`python -m tests.native.wheels`: a wheel for each processor into `dist/`, each looked at and run.

x86-64 is built by this machine's compiler, the others by Debian's cross compilers with the headers
of Debian's Python for them. Each comes from a source distribution, as on anybody's machine.

ARMv6 (Pi Zero W, Pi 1) has a difficulty of its own. Debian's compiler makes ARMv6 code if it is
told to, but what it adds to everything that it links (the files that begin and end a library, and
the static libgcc) is ARMv7 code. So none of that is linked: the module needs no constructors, and
takes what it needs of libgcc from the shared one, which is the board's own. The attributes of the
finished module say which processor it takes, and `_looked_at` insists on them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.native import foreign

CHECKOUT = Path(__file__).parents[2]
HOOK = """\
import sys
from setuptools import build_meta
hook, into, platform = sys.argv[1:]
settings = {"--build-option": [f"--plat-name={platform}"]} if platform else None
getattr(build_meta, hook)(into, settings)
"""
LOAD = """\
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("_native", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_native", loader))
loader.exec_module(module)
print(sys.version.split()[0])
"""
MODULE = "gadgetip/pump/_native.abi3.so"
OLDEST_GLIBC = (2, 34)
"""What the wheels are named for; Debian 12 has 2.36. `_looked_at` checks that nothing is newer."""


@dataclass(frozen=True, slots=True)
class Target:
    """One processor: Debian's name for its architecture, the compiler, and how to emulate it."""

    name: str
    machine: str
    platform: str
    compiler: str
    flags: str = ""
    link: str = ""
    debian: str = ""
    emulator: str = ""
    attribute: str = ""
    """What `readelf --arch-specific` must say."""


_GLIBC = "manylinux_{}_{}".format(*OLDEST_GLIBC)
TARGETS = (
    Target("x86-64", "x86_64", f"{_GLIBC}_x86_64", "gcc"),
    Target(
        "aarch64",
        "aarch64",
        f"{_GLIBC}_aarch64",
        "aarch64-linux-gnu-gcc",
        debian="arm64",
        emulator="qemu-aarch64-static",
    ),
    Target(
        "armv7",
        "armv7l",
        f"{_GLIBC}_armv7l",
        "arm-linux-gnueabihf-gcc",
        flags="-march=armv7-a+fp -mfloat-abi=hard",
        debian="armhf",
        emulator="qemu-arm-static",
        attribute="Tag_CPU_arch: v7",
    ),
    Target(
        "armv6",
        "armv6l",
        "linux_armv6l",  # manylinux knows no ARMv6
        "arm-linux-gnueabihf-gcc",
        flags="-march=armv6kz+fp -mfloat-abi=hard -marm",
        link="-nostartfiles -nodefaultlibs -Wl,--no-as-needed -lc -lgcc_s",
        debian="armhf",
        emulator="qemu-arm-static",
        attribute="Tag_CPU_arch: v6KZ",
    ),
)
ARM1176 = ("qemu-arm-static", "-cpu", "arm1176")
"""The processor of a Pi Zero W, on which Debian's own Python for armhf cannot run."""


def main() -> int:
    """Build and check what was asked for; raises CalledProcessError."""
    parser = argparse.ArgumentParser(prog="tests.native.wheels", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, if none is named")
    options = parser.parse_args()
    names = options.targets or [target.name for target in TARGETS]
    dist = CHECKOUT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    _hook(CHECKOUT, "build_sdist", dist)
    (sdist,) = dist.iterdir()
    print(f"wheels: {sdist.name}", flush=True)
    for target in TARGETS:
        if target.name in names:
            wheel = _build(target, sdist, dist)
            for line in _looked_at(target, wheel):
                print(f"wheels: {wheel.name}: {line}", flush=True)
    return 0


def _build(target: Target, sdist: Path, dist: Path) -> Path:
    environment = {
        "GADGETIP_NATIVE": "require",
        "CC": target.compiler,
        "CFLAGS": f"{target.flags} -g0",
        # Not this Python's own way to link, which may name this machine's directories.
        "LDSHARED": f"{target.compiler} -shared {target.flags} {target.link} -Wl,--strip-all",
        "_PYTHON_HOST_PLATFORM": f"linux-{target.machine}",
    }
    if target.debian:
        root = foreign.obtain(target.debian)
        include = foreign.headers(root)
        environment["CPPFLAGS"] = f"-I{include} -I{include.parent}"
    with tempfile.TemporaryDirectory() as folder, tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
        (project,) = Path(folder).iterdir()
        _hook(project, "build_wheel", dist, platform=target.platform, **environment)
    (wheel,) = dist.glob(f"*-{target.platform}.whl")
    return wheel


def _hook(project: Path, hook: str, into: Path, platform: str = "", **environment: str) -> None:
    """Call the build backend; what it prints is shown if it fails."""
    run = subprocess.run(
        [sys.executable, "-c", HOOK, hook, str(into), platform],
        check=False,
        cwd=project,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode:
        print(run.stdout)
        run.check_returncode()


def _looked_at(target: Target, wheel: Path) -> list[str]:
    """What was found out about a wheel; exits if it is not what its name says."""
    found = []
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        module = Path(archive.extract(MODULE, folder))
        versions = set(re.findall(r"GLIBC_(\d+)\.(\d+)", _output("readelf", "-W", "-V", module)))
        newest = max((int(major), int(minor)) for major, minor in versions)
        if newest > OLDEST_GLIBC:
            sys.exit(f"wheels: {wheel.name} needs glibc {newest}, its name says {OLDEST_GLIBC}")
        found.append(f"{wheel.stat().st_size // 1024} KiB, glibc {newest[0]}.{newest[1]} or later")
        if "RUNPATH" in _output("readelf", "-W", "-d", module):
            sys.exit(f"wheels: {wheel.name} names directories of this machine")
        if target.attribute:
            attributes = _output("readelf", "--arch-specific", module)
            if target.attribute not in re.findall(r"Tag_CPU_arch: \S+", attributes):
                sys.exit(f"wheels: {wheel.name} is not {target.attribute}:\n{attributes}")
            found.append(target.attribute)
        found += [f"loaded by Python {version}" for version in _loaded(target, module)]
        if target.name == "armv6":
            run_on_arm1176(Path(folder))
            found.append("its wire.c runs on an emulated ARM1176")
    return found


def _loaded(target: Target, module: Path) -> list[str]:
    """The Pythons that load the module: Debian's in emulation, or all that this machine has."""
    if target.debian:
        root = foreign.obtain(target.debian)
        python = foreign.interpreter(root)
        version = _output(target.emulator, "-L", root, python, "-I", "-c", LOAD, module)
        return [f"{version} in emulation"]
    found = {}
    for minor in range(11, 20):
        for folder in os.environ["PATH"].split(os.pathsep):
            python = Path(folder, f"python3.{minor}")
            if python.exists() and (version := _version(python)):
                found[version] = _output(python, "-I", "-c", LOAD, module)
    return [*found.values()] or [_output(sys.executable, "-I", "-c", LOAD, module)]


def _version(python: Path) -> str:
    """A version; "" for a wrapper whose Python is not there."""
    run = subprocess.run(
        [python, "-c", "import sys; print(sys.version)"],
        check=False,
        capture_output=True,
        text=True,
    )
    return run.stdout if run.returncode == 0 else ""


def run_on_arm1176(folder: Path) -> None:
    """Run wire.c, compiled as for ARMv6, on the emulated processor; raises CalledProcessError.

    The program is made in the folder.
    """
    (target,) = [each for each in TARGETS if each.name == "armv6"]
    program = folder / "freestanding"
    native = CHECKOUT / "gadgetip/pump/native"
    flags = ["-std=gnu11", "-O2", "-ffreestanding", "-fno-stack-protector", "-static", "-nostdlib"]
    sources = [CHECKOUT / "tests/native/freestanding.c", native / "wire.c"]
    _output(target.compiler, *target.flags.split(), *flags, f"-I{native}", *sources, "-o", program)
    _output(*ARM1176, program)


def _output(*command: str | Path) -> str:
    return subprocess.run(
        [str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
