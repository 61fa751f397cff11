"""The systems that the packages are tried on."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.packages.report import PackageError

ARM1176 = "arm1176"
"""The Pi Zero W's processor, as QEMU calls it: ARMv6."""


@dataclass(frozen=True)
class Target:
    """A suite of Debian for one architecture."""

    suite: str
    arch: str  # as dpkg names it
    processor: str | None = None
    """Whose instructions the whole system is run with; None: the emulator's own choice."""
    old_processor: str | None = None
    """One on which this suite's own programs do not run, but the package's module has to."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.suite}-{self.arch}"


TARGETS = (
    Target("bookworm", "amd64"),
    Target("trixie", "amd64"),
    Target("trixie", "arm64"),
    Target("trixie", "armel", processor=ARM1176),
    Target("trixie", "armhf", old_processor=ARM1176),
    Target("bookworm", "armhf", old_processor=ARM1176),
)


def native_architecture() -> str:
    """This machine's."""
    done = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def chosen(words: list[str]) -> list[Target]:
    """The targets that words name: an architecture, a suite, or both as SUITE-ARCH."""
    for word in words:
        if not [target for target in TARGETS if word in (target.name, target.suite, target.arch)]:
            known = " ".join(target.name for target in TARGETS)
            raise PackageError(f"no such target: {word}. There are {known}")
    suites = {target.suite for target in TARGETS} & set(words)
    architectures = {target.arch for target in TARGETS} & set(words)
    return [
        target
        for target in TARGETS
        if target.name in words
        or (
            (suites or architectures or not words)
            and (not suites or target.suite in suites)
            and (not architectures or target.arch in architectures)
        )
    ]
