"""`python -m tests.packages [TARGET...]`: try what `make deb` made. See the package's docstring."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.machine.places import CHECKOUT
from tests.packages import booted, chroot, emulated, life, module, stage, target
from tests.packages.report import PackageError

RESULTS = CHECKOUT / "build" / "packages"
PARTS = ("life", "lintian", "machine")


def main() -> int:
    """Try every target that was asked for; the first thing that is wrong ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.packages", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="SUITE, ARCH, SUITE-ARCH")
    parser.add_argument("--part", action="append", choices=PARTS, help="of a target that boots")
    options = parser.parse_args()
    try:
        for each in target.chosen(options.targets):
            one(each, options.part or PARTS)
    except PackageError as error:
        print(f"packages: {error}", file=sys.stderr)
        return 1
    return 0


def one(each: target.Target, parts: tuple[str, ...]) -> None:
    """All that is looked at on one target."""
    with tempfile.TemporaryDirectory(prefix="gadgetip-stage-") as folder:
        staged = Path(folder)
        staged.chmod(0o755)
        stage.fill(staged, each.arch)
        if each.arch != target.native_architecture():
            with chroot.copy_of(each, staged) as copy:
                emulated.run(each, copy)
            return
        if "life" in parts:
            with chroot.copy_of(each, staged) as copy:
                life.live(each.name, copy)
        if "lintian" in parts:
            with chroot.copy_of(each, staged) as copy:
                life.look(each.name, copy, "gadgetip.deb dkms.deb")
        if "machine" in parts:
            directory = RESULTS / each.name
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            with chroot.copy_of(each, staged) as copy:
                release = module.build(each.name, copy)
                module.forget_sources(copy)
                booted.prove(each.name, copy, release, directory)


sys.exit(main())
