"""DEVICE, as people name a device at the command line.

    1-1.4               its bus id at the server, or the name it is published as
    0781:5581           VID:PID
    serial=4C53*        its serial number
    name=*Cruzer*       its product name, alone or behind the manufacturer's
    class=08/06/50      the class of the device or of one of its interfaces; parts may be left out

Values are globs, but for the bus id. What a server's list shows (bus id, VID:PID, the device's
class, sometimes the interfaces') can be told at once; a serial number, a name, and the interfaces
of a device that lists none are known only to whoever imports it. A selector therefore answers yes,
no, or None: "import it and look".
"""

import re
from dataclasses import dataclass

from gadgetip.errors import UsageError
from gadgetip.matching.facts import DeviceFacts
from gadgetip.matching.match import matches_any, matches_text
from gadgetip.wire import BUSID_BYTES

_ID = re.compile(r"[0-9a-fA-F?*\[\]]{1,10}:[0-9a-fA-F?*\[\]]{1,10}")
_KEYS = ("serial", "name", "class")


@dataclass(frozen=True, slots=True)
class DeviceSelector:
    """One DEVICE argument: the key it goes by, and the glob that the value must match."""

    key: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> "DeviceSelector":
        """Read a DEVICE argument; raises `UsageError` with the forms that are understood."""
        if _ID.fullmatch(text):
            return cls("id", text.lower())
        key, equals, value = text.partition("=")
        if equals:
            if key not in _KEYS or not value:
                raise UsageError(
                    f"{text!r} is no device: write BUSID, VID:PID, serial=S, name=GLOB "
                    "or class=08/06/50"
                )
            return cls(key, _full_class(value) if key == "class" else value)
        if not _is_busid(text):
            raise UsageError(f"{text!a} is no bus id: it has 1 to 31 bytes and no spaces")
        return cls("busid", text)

    @property
    def exact_busid(self) -> str | None:
        """The bus id, where that is what was written."""
        return self.pattern if self.key == "busid" else None

    def matches(self, facts: DeviceFacts) -> bool | None:
        """Whether this device is meant; None where that is not known yet."""
        if self.key == "busid":  # no glob: it is asked for as it is
            return None if facts.busid is None else facts.busid == self.pattern
        patterns = (self.pattern,)
        if self.key == "id":
            return matches_text(patterns, facts.id)
        if self.key == "serial":
            return matches_text(patterns, facts.serial)
        if self.key == "name":
            return matches_any(patterns, facts.names)
        return matches_any(patterns, facts.classes, are_all=facts.classes_are_all)

    def __str__(self) -> str:
        return self.pattern if self.key in {"busid", "id"} else f"{self.key}={self.pattern}"


def _is_busid(text: str) -> bool:
    """Whether this may be a bus id; bytes that are not UTF-8 arrive as surrogates (PEP 383)."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    shown = raw.decode("utf-8", "replace")
    return 0 < len(raw) < BUSID_BYTES and shown.isprintable() and " " not in shown


def _full_class(value: str) -> str:
    parts = value.lower().split("/")
    if len(parts) > 3 or not all(re.fullmatch(r"[0-9a-f?*\[\]]+", part) for part in parts):
        raise UsageError(f"class={value} is no class: write CLASS/SUBCLASS/PROTOCOL in hex")
    return "/".join([*parts, "*", "*"][:3])
