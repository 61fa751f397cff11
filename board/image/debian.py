"""apt for another architecture and release: finds, downloads and unpacks, installs nothing.

apt is given a state of its own, so that this machine's lists, sources and architectures stay as
they are. A mirror in the middle of its update may lack an index or a package for some minutes: what
is missing is said, and the next build goes on from what is there.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RELEASE = "trixie"
COMPONENTS = "main non-free-firmware"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org"
SIGNATURE_IS_WRONG = re.compile(r"^.*(?:GPG error|is not signed|NO_PUBKEY).*$", re.MULTILINE)
SNAPSHOT = "http://snapshot.debian.org/archive/{archive}/{when}"


class BuildError(Exception):
    """What keeps an image from being built, in one line."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the packages are from.

    `mirror` has `debian` and `debian-security` below it, `keyring` the keys that sign them;
    `snapshot`, a time of snapshot.debian.org, goes before the mirror.
    """

    mirror: str = MIRROR
    keyring: Path = KEYRING
    snapshot: str | None = None

    @property
    def name(self) -> str:
        """What tells files of it from those of others: nothing for Debian as it is now."""
        if self == DEBIAN:
            return ""
        return "-" + key_of(*self.sources, self.keyring.read_bytes().hex())[:8]

    @property
    def sources(self) -> list[str]:
        """The lines of sources.list."""
        # A snapshot's Release says that it has expired, as it has.
        options = f"signed-by={self.keyring}" + (" check-valid-until=no" if self.snapshot else "")
        return [f"deb [{options}] {base} {suite} {COMPONENTS}" for base, suite in self.suites]

    @property
    def suites(self) -> list[tuple[str, str]]:
        """Addresses and suites, the one that has all packages first."""
        return [
            (self._base("debian"), RELEASE),
            (self._base("debian"), f"{RELEASE}-updates"),
            (self._base("debian-security"), f"{RELEASE}-security"),
        ]

    def _base(self, archive: str) -> str:
        if self.snapshot:
            return SNAPSHOT.format(archive=archive, when=self.snapshot)
        return f"{self.mirror.rstrip('/')}/{archive}"


DEBIAN = Origin()


@dataclass(frozen=True, slots=True)
class Archive:
    """Debian's archive for one architecture; `directory` keeps lists and downloads."""

    architecture: str
    directory: Path
    origin: Origin = DEBIAN

    @property
    def lists(self) -> Path:
        """Where apt keeps the archive's lists of packages."""
        return self.directory / "state" / "lists"

    def update(self) -> list[str]:
        """Fetch the lists; returns what is wrong with them, a sentence each.

        A list that cannot be had is left as it was. Raises BuildError where a signature is wrong,
        or there is no list of the release at all.
        """
        for name in ("state/lists/partial", "cache/archives/partial", "packages"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        (self.directory / "sources.list").write_text("\n".join(self.origin.sources) + "\n")
        done = subprocess.run(
            self._command("apt-get", "update"), check=False, capture_output=True, env=_in_english()
        )
        if done.returncode == 0:
            return []
        said = done.stderr.decode(errors="replace")
        if wrong := SIGNATURE_IS_WRONG.search(said):
            raise BuildError(wrong[0])
        lacking = [where for where in self.origin.suites if not self._has_list(*where)]
        if self.origin.suites[0] in lacking:
            raise BuildError(f"no list of packages: {_last_lines(done.stderr)}")
        print(_last_lines(done.stderr), flush=True)
        return [
            "some of Debian's lists are older than its servers say",
            *(
                f"the image is WITHOUT THE PACKAGES OF {suite}: {base} gives no list of them"
                for base, suite in lacking
            ),
        ]

    def _has_list(self, base: str, suite: str) -> bool:
        name = f"{base.partition('://')[2].replace('/', '_')}_dists_{suite}_InRelease"
        return (self.lists / name).exists()

    def resolve(self, packages: Sequence[str]) -> list[str]:
        """All that would be installed for these and the essential packages: NAME=VERSION, sorted.

        Raises BuildError where something is missing.
        """
        text = self._ask(
            "apt-get", "--simulate", "--no-install-recommends", "install", "?essential", *packages
        )
        found = re.findall(r"^Inst (\S+) \((\S+) ", text, re.MULTILINE)
        return sorted(f"{name.partition(':')[0]}={version}" for name, version in found)

    def candidate(self, package: str) -> str:
        """NAME=VERSION of the package that apt would install."""
        match = re.search(r"^Version: (.+)$", self._show(package), re.MULTILINE)
        if match is None:
            raise BuildError(f"Debian has no package {package} for {self.architecture}")
        return f"{package}={match[1]}"

    def kernels(self, metapackage: str) -> list[str]:
        """The kernels' packages of that flavour, the one that the metapackage stands for first."""
        depends = re.search(
            r"^Depends: .*?\b(linux-image-\d[^\s,]+)", self._show(metapackage), re.MULTILINE
        )
        if depends is None:
            raise BuildError(f"Debian's {metapackage} names no kernel")
        flavour = depends[1].rpartition("-")[2]
        known = self._ask("apt-cache", "pkgnames", "linux-image-").split()
        return [depends[1], *older_kernels(known, depends[1], flavour)]

    def unpacked(self, package: str) -> tuple[str, Path]:
        """A package's files, out of the cache or downloaded now: NAME=VERSION and the directory."""
        known = self.candidate(package)
        target = self.directory / "packages" / known.replace("/", "_")
        if not target.is_dir():
            print(f"image: downloading {known} for {self.architecture}", flush=True)
            partial = target.with_name(f".{target.name}.{os.getpid()}")
            partial.mkdir(parents=True)
            try:
                self._ask("apt-get", "download", known, cwd=partial)
                (archive,) = partial.glob("*.deb")
                subprocess.run(["dpkg-deb", "-x", archive, partial / "root"], check=True)
                (partial / "root").rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return known, target

    def _show(self, package: str) -> str:
        return self._ask("apt-cache", "show", "--no-all-versions", package)

    def _ask(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            self._command(*command),
            check=False,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=_in_english(),
        )
        if done.returncode:
            raise BuildError(f"{' '.join(command[:2])}: {_last_lines(done.stderr.encode())}")
        return done.stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        state = self.directory
        options = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Retries": "3",
            "Dir::State": f"{state}/state",
            "Dir::State::status": f"{state}/status",
            "Dir::Cache": f"{state}/cache",
            "Dir::Etc::sourcelist": f"{state}/sources.list",
            "Dir::Etc::sourceparts": "-",
        }
        return [
            program,
            "-q",
            *(f"-o{name}={value}" for name, value in options.items()),
            *arguments,
        ]


def older_kernels(known: Sequence[str], newest: str, flavour: str) -> list[str]:
    """The names of the same kernel that are older than the newest, the newer ones first."""
    pattern = re.compile(rf"linux-image-(\d+\.\d+\.\d+)\+deb\d+-{re.escape(flavour)}")
    found = {
        tuple(int(part) for part in match[1].split(".")): name
        for name in known
        if (match := pattern.fullmatch(name))
    }
    limit = next((number for number, name in found.items() if name == newest), None)
    return [found[number] for number in sorted(found, reverse=True) if limit and number < limit]


def key_of(*parts: str) -> str:
    """A short name for a stage that was made of these."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _in_english() -> dict[str, str]:
    """The environment for a program whose words are read here."""
    return os.environ | {"LC_ALL": "C.UTF-8"}


def _last_lines(text: bytes) -> str:
    return "; ".join(text.decode(errors="replace").strip().splitlines()[-3:])
