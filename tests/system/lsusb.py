"""`lsusb -v` of a device and of its replica: what differs is what the plan had announced.

lsusb's output is a tree by indentation: descriptors that hold fields and other descriptors. It is
read into *places*, each with the text that lsusb shows there:

    ("device", "bcdUSB")                                                       2.00
    ("device", "configuration 1", "interface 0", "endpoint 0x81", "bInterval") 9

Descriptors are named by what a person, and a deviation, calls them by: an interface by its number,
and its setting if that is not 0, an endpoint by its address, a configuration by its value, any
other by lsusb's heading. Strings are part of the text (`iProduct 2 Ultra`), so that index and
contents are compared at once.

A deviation of the plan has a subject: the name of a field, of a descriptor, or of something that
shows in several fields (`SHOWS_IN`). It explains what differs at a place if its subject names the
field, or a descriptor that the place is in. A descriptor that is only in the replica is explained
too by a reason that names it ("endpoint 0x81: becomes 0x82"). Lengths and counts follow from
descriptors that come or go, and need no words of their own.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Place = tuple[str, ...]

# What shows in fields of other names, in lower case. Subjects are the plan's, fields lsusb's.
SHOWS_IN = {
    "speed": {
        *("bcdusb", "wmaxpacketsize", "binterval", "bmaxburst", "maxstreams", "maxpower"),
        *(
            "bmaxpacketsize0",
            "device qualifier (for other device speed)",
            "mult",
            "wbytesperinterval",
        ),
        "binary object store descriptor",
    },
    "bos descriptor": {"binary object store descriptor"},
    "otg descriptor": {"otg descriptor"},
    "device qualifier": {"device qualifier (for other device speed)"},
    "remote wakeup": {"bmattributes", "remote wakeup", "device status"},
    "self-powered": {"bmattributes", "self powered", "device status"},
    "bmattributes": {"bmattributes", "remote wakeup", "self powered", "device status"},
    "configurations": {"bnumconfigurations"},
    "manufacturer": {"imanufacturer"},
    "product": {"iproduct"},
    "serialnumber": {"iserial"},
    "iserialnumber": {"iserial"},
    "bmaxpower": {"maxpower"},
}
COUNTS = {"wtotallength", "bnuminterfaces", "bnumendpoints", "bnumconfigurations"}
FIELD_SUBJECT = re.compile(r"^(b|bcd|bm|i|id|w)[A-Z]\w*$|^speed$")
HEADERS = re.compile(r"^(Bus \d+ Device \d+: |can't get|Couldn't|cannot )")


@dataclass(frozen=True)
class Difference:
    """One place whose text differs; None where there is no such place."""

    place: Place
    device: str | None
    replica: str | None

    def __str__(self) -> str:
        return f"{' > '.join(self.place)}: {self.device!r} became {self.replica!r}"


@dataclass
class _Line:
    indent: int
    text: str
    below: "list[_Line]" = field(default_factory=list)

    def value_of(self, name: str) -> str:
        """The first word behind a field's name."""
        for line in self.below:
            words = line.text.split()
            if words[0] == name and len(words) > 1:
                return words[1]
        return "?"


def verbose(device: Path) -> str:
    """`lsusb -v` of the device at this sysfs directory. Strings are read, so it must answer."""
    bus, number = ((device / name).read_text().strip() for name in ("busnum", "devnum"))
    shown = subprocess.run(
        ["lsusb", "-v", "-s", f"{bus}:{number}"],
        check=False,  # it fails where it may not read something, and says so in its output
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert "Device Descriptor:" in shown.stdout, shown.stdout + shown.stderr
    return shown.stdout


def places(text: str) -> dict[Place, str]:
    """Every place of an `lsusb -v` and what is shown there."""
    found: dict[Place, str] = {}
    for line in _tree(text).below:
        if line.text == "Device Descriptor:":
            _collect(line, ("device",), found)
        else:  # qualifier, BOS and status stand beside it
            _collect_line(line, ("device",), Counter(), found)
    return found


def differences(device: str, replica: str) -> list[Difference]:
    """What differs between two outputs, in their order."""
    mine, theirs = places(device), places(replica)
    return [
        Difference(place, mine.get(place), theirs.get(place))
        for place in dict.fromkeys((*mine, *theirs))
        if mine.get(place) != theirs.get(place)
    ]


def unannounced(
    device: str, replica: str, deviations: Iterable[Mapping[str, str]]
) -> list[Difference]:
    """The differences that no deviation explains."""
    announced = list(deviations)
    found = differences(device, replica)
    came_or_went = any(None in (d.device, d.replica) for d in found)
    return [
        difference
        for difference in found
        if not any(_explains(deviation, difference) for deviation in announced)
        and not (came_or_went and announced and difference.place[-1].lower() in COUNTS)
    ]


def unseen(
    device: str, replica: str, deviations: Iterable[Mapping[str, str]]
) -> list[Mapping[str, str]]:
    """The deviations that name a field in which nothing differs."""
    found = differences(device, replica)
    return [
        deviation
        for deviation in deviations
        if FIELD_SUBJECT.match(deviation["subject"])
        and not any(_explains(deviation, difference) for difference in found)
    ]


def assert_as_announced(device: str, replica: str, deviations: Iterable[Mapping[str, str]]) -> None:
    """Raise AssertionError unless exactly what the plan announced differs.

    `deviations` are those of the `bound` event: `severity`, `subject`, `reason`.
    """
    announced = list(deviations)
    silent = [str(difference) for difference in unannounced(device, replica, announced)]
    idle = [f"{d['subject']}: {d['reason']}" for d in unseen(device, replica, announced)]
    said = [f"{d['subject']}: {d['reason']}" for d in announced]
    assert not silent, f"differs without a word: {silent}; announced: {said}"
    assert not idle, f"announced, but nothing differs: {idle}"


def _explains(deviation: Mapping[str, str], difference: Difference) -> bool:
    subject = deviation["subject"].strip().lower()
    parts = [part.lower() for part in difference.place]
    if subject in parts or SHOWS_IN.get(subject, set()) & set(parts):
        return True
    names = [_without_setting(part) for part in parts if " " in part]
    if any(_names(subject, name) for name in names):
        return True
    appeared = difference.device is None
    return appeared and any(_names(deviation["reason"].lower(), name) for name in names)


def _names(text: str, name: str) -> bool:
    """Whether a text names a descriptor; "becomes 0x82" names an endpoint."""
    kind, _, number = name.rpartition(" ")
    if kind not in {"interface", "endpoint", "configuration"}:
        return name in text
    if kind == "configuration" and text == "configurations":
        return True
    if kind == "endpoint":
        return bool(re.search(rf"\b{re.escape(number)}\b", text)) or text == "endpoints"
    return bool(re.search(rf"\b({kind}s?|becomes) {re.escape(number)}\b", text))


def _without_setting(name: str) -> str:
    return name.partition(" setting")[0]


def _tree(text: str) -> _Line:
    root = _Line(-1, "")
    path = [root]
    for raw in text.splitlines():
        stripped = raw.strip()
        if not stripped or HEADERS.match(stripped):
            continue
        line = _Line(len(raw) - len(raw.lstrip()), stripped)
        while path[-1].indent >= line.indent:
            path.pop()
        path[-1].below.append(line)
        path.append(line)
    return root


def _collect(parent: _Line, place: Place, found: dict[Place, str]) -> None:
    seen: Counter[str] = Counter()
    for line in parent.below:
        _collect_line(line, place, seen, found)


def _collect_line(line: _Line, place: Place, seen: Counter[str], found: dict[Place, str]) -> None:
    name, value = _name(line)
    seen[name] += 1
    if seen[name] > 1:
        name = f"{name} #{seen[name]}"
    here = (*place, name)
    found[here] = value
    _collect(line, here, found)


def _name(line: _Line) -> tuple[str, str]:
    """How a line's place is called, and what is shown there."""
    if line.text == "Configuration Descriptor:":
        return f"configuration {line.value_of('bConfigurationValue')}", ""
    if line.text == "Interface Descriptor:":
        setting = line.value_of("bAlternateSetting")
        number = line.value_of("bInterfaceNumber")
        return f"interface {number}" + ("" if setting == "0" else f" setting {setting}"), ""
    if line.text == "Endpoint Descriptor:":
        return f"endpoint {line.value_of('bEndpointAddress').lower()}", ""
    heading, colon, rest = line.text.partition(":")
    if colon and (not rest.strip() or line.text.startswith("Device Status")):
        return heading, rest.strip()
    words = re.split(r"\s{2,}|(?<=\w)\s(?=\d|0x)", line.text, maxsplit=1)
    return words[0], " ".join(words[1].split()) if len(words) > 1 else ""
