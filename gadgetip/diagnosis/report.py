"""A report: one text with what a bug report needs, bounded in size and time, private things out.

All sections are gathered first and the serial numbers learned from all of them, so that a number
which only one section explains goes from the others too.
"""

import contextlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gadgetip.diagnosis.gather_board import GADGETS
from gadgetip.diagnosis.gather_machine import gather_configuration
from gadgetip.diagnosis.redaction import Redactor
from gadgetip.diagnosis.sections import SECTIONS, Section
from gadgetip.diagnosis.system_files import read_bytes, read_text
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress
from gadgetip.server.bindings import load_bindings

SECTION_LIMIT_CHARACTERS = 200_000
TIME_LIMIT_S = 60.0
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")
_USB_DEVICES = Path("/sys/bus/usb/devices")
_MACHINE_SERIALS = (
    Path("/proc/device-tree/serial-number"),
    *(Path("/sys/class/dmi/id") / f"{name}_serial" for name in ("product", "board", "chassis")),
    Path("/sys/class/dmi/id/product_uuid"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was collected, redacted: (name, title, text) of each section; what was replaced."""

    parts: tuple[tuple[str, str, str], ...]
    replaced: dict[str, int]

    def text(self) -> str:
        """All sections as one text."""
        return "\n".join(
            f"==== {title}\n\n{text or '(nothing)'}\n" for _, title, text in self.parts
        )

    def archive(self) -> bytes:
        """All sections as a .tar.gz, a file each."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, title, text in self.parts:
                data = f"{title}\n\n{text or '(nothing)'}\n".encode("utf-8", "replace")
                entry = tarfile.TarInfo(f"gadgetip-report/{name}.txt")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
                archive.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()


def make_report(
    *,
    addresses: bool = False,
    sections: Sequence[Section] = SECTIONS,
    serials: Iterable[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Collect and redact; with `addresses`, addresses and names go as well.

    `serials` are known numbers besides those that words point at; None asks this machine.
    """
    deadline = clock() + TIME_LIMIT_S
    gathered = [
        (each.name, each.title, _gather(each) if clock() < deadline else "(left out: no time left)")
        for each in sections
    ]
    names = machine_and_user_names() if addresses else ()
    known = known_serials() if serials is None else serials
    redactor = Redactor(known, addresses=addresses, names=names)
    for _, _, text in gathered:
        redactor.learn(text)
    # Cut afterwards: half a serial number would not be recognised.
    parts = tuple((name, title, _cut(redactor.redact(text))) for name, title, text in gathered)
    return Report(parts, dict(redactor.counts))


def _gather(section: Section) -> str:
    try:
        return section.text()
    except (OSError, ValueError, GadgetipError) as error:
        return f"(cannot be collected: {error})"


def _cut(text: str) -> str:
    """The text; the middle of one that is too long is left out."""
    if len(text) > SECTION_LIMIT_CHARACTERS:
        half = SECTION_LIMIT_CHARACTERS // 2
        left_out = len(text) - 2 * half
        text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
    return text


def known_serials() -> list[str]:
    """The serial numbers of what is plugged in, of gadgets, of marks, and of the machine itself."""
    # Not the root hubs, usbN: theirs are names of controllers, which a reader needs.
    paths = [*_USB_DEVICES.glob("[0-9]*/serial"), *GADGETS.glob("*/strings/*/serialnumber")]
    found = [read_text(path, 1024).strip() for path in paths]
    found += [
        read_bytes(path, 1024).strip(b"\0\n ").decode("utf-8", "replace")
        for path in _MACHINE_SERIALS
    ]
    with contextlib.suppress(GadgetipError):  # a damaged file is shown by the doctor
        found += [mark.serial for mark in load_bindings() if mark.serial]
    return [serial for serial in found if serial]


def machine_and_user_names() -> list[str]:
    """This machine's name, its servers', and its people's: users with a number of 1000 or more."""
    names = [os.uname().nodename]
    for server in gather_configuration().servers:
        with contextlib.suppress(GadgetipError):
            names.append(HostAddress.parse(server).host)
    for line in read_text("/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdecimal() and 1000 <= int(fields[2]) < 65534:
            names.append(fields[0])
    return [name for name in names if name not in {"", "localhost"}]


def write_report(path: Path, report: Report) -> None:
    """Write it for its owner alone, over nothing; raises `GadgetipError` where that cannot be."""
    if path.name.endswith(ARCHIVE_ENDINGS):
        data = report.archive()
    else:
        data = report.text().encode("utf-8", "replace")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as opened:
            opened.write(data)
    except FileExistsError:
        raise GadgetipError(
            f"{path} exists: remove it first, or choose another file with -o"
        ) from None
    except OSError as error:
        raise GadgetipError(
            f"{path} cannot be written ({error.strerror}): choose another file with -o"
        ) from None
