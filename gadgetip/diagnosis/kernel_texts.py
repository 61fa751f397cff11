"""The texts that kernels, boards and distributions keep, read without trusting them.

Each function takes a text and gives values; what is no proper line is left out, for a doctor must
not die of what it came to look at. Module names are the kernel's: `usbip_host`, never `usbip-host`.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")
_RELEASE = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")
_OVERLAY = re.compile(r"dtoverlay\s*=\s*([^,\s]+)(.*)")


@dataclass(frozen=True, slots=True)
class Overlay:
    """One `dtoverlay=` of a Raspberry Pi's config.txt: its name, and its parameters as written."""

    name: str
    parameters: tuple[str, ...]
    section: str
    """The filter above it, "all" or "pi4": it counts on such a board only."""


def parse_release(text: str) -> tuple[int, int] | None:
    """The first two numbers of a kernel's release, "6.12.117+deb12-amd64"; None without them."""
    match = _RELEASE.match(text)
    return (int(match[1]), int(match[2])) if match else None


def module_name(name: str) -> str:
    """A module's name in the kernel's own spelling."""
    return name.replace("-", "_")


def parse_modules(text: str) -> frozenset[str]:
    """The names in /proc/modules: what is loaded."""
    return frozenset(module_name(row[0]) for line in text.splitlines() if (row := line.split()))


def parse_module_files(text: str) -> frozenset[str]:
    """The modules that a `modules.dep` or a `modules.builtin` of /lib/modules names."""
    found = set()
    for line in text.splitlines():
        path = line.partition(":")[0].strip()
        name = path.rpartition("/")[2]
        if _SUFFIX.search(name):
            found.add(module_name(_SUFFIX.sub("", name)))
    return frozenset(found)


def parse_config_txt(text: str) -> tuple[Overlay, ...]:
    """The overlays in a Raspberry Pi's config.txt, comments and empty ones left out.

    An empty `dtoverlay=` ends the parameters of the one before it and is no overlay itself.
    """
    found, section = [], "all"
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
        elif match := _OVERLAY.fullmatch(line):
            parameters = tuple(part.strip() for part in match[2].split(",") if part.strip())
            found.append(Overlay(match[1], parameters, section))
    return tuple(found)


def dwc2_mode(overlays: Iterable[Overlay]) -> str | None:
    """The `dr_mode` that config.txt asks of the overlay dwc2: "" without one, None without dwc2.

    Of several, the last counts, as the firmware applies them in order.
    """
    mode: str | None = None
    for overlay in overlays:
        if overlay.name == "dwc2":
            mode = ""
            for parameter in overlay.parameters:
                key, _, value = parameter.partition("=")
                if key.strip() == "dr_mode":
                    mode = value.strip()
    return mode


def parse_device_tree_text(data: bytes) -> str:
    """A string property of the device tree: it ends with a NUL byte."""
    return data.partition(b"\0")[0].decode("ascii", "replace")


def parse_number(text: str) -> int | None:
    """A file that holds one number; None for anything else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def parse_meminfo_kib(text: str, name: str) -> int | None:
    """A line of /proc/meminfo, in KiB; None if there is no such line."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return parse_number(value.strip().removesuffix("kB"))
    return None


def parse_mounted(text: str) -> frozenset[tuple[str, str]]:
    """Kind and place of each mount in /proc/mounts."""
    rows = (line.split(" ") for line in text.splitlines())
    return frozenset((row[2], row[1]) for row in rows if len(row) >= 3)


def parse_listeners(text: str) -> frozenset[int]:
    """The TCP ports that something listens on, from /proc/net/tcp or tcp6."""
    found = set()
    for line in text.splitlines():
        row = line.split()
        if len(row) >= 4 and row[3] == "0A":  # TCP_LISTEN
            port = row[1].rpartition(":")[2]
            if re.fullmatch(r"[0-9A-Fa-f]{4}", port):
                found.add(int(port, 16))
    return frozenset(found)


def parse_addresses_ipv6(text: str) -> tuple[str, ...]:
    """The addresses of global scope in /proc/net/if_inet6."""
    found = []
    for line in text.splitlines():
        row = line.split()
        if len(row) == 6 and row[3] == "00" and re.fullmatch(r"[0-9a-f]{32}", row[0]):
            found.append(str(ipaddress.IPv6Address(int(row[0], 16))))
    return tuple(found)
