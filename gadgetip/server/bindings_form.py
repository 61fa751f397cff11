"""The form in which marks are kept: JSON, which root writes and everybody may read.

    {"schema": "bindings/1", "bindings": [
      {"id": "0781:5581", "serial": "4C53", "busid": "1-1.4", "forced": false}]}

It is read by `serve`, by `list` and by whoever runs as root, so it is checked as if a stranger had
written it. What is odd in it makes the whole file damaged: to guess what was meant would be to
export something that nobody asked for.
"""

import json
import re
from collections.abc import Sequence

from gadgetip.server.binding_marks import MAX_SERIAL_CHARACTERS, Binding

SCHEMA = "bindings/1"
MAX_FILE_BYTES = 256 * 1024
MAX_BINDINGS = 512

_KEYS = {"id", "serial", "busid", "forced"}
_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_BUSID = re.compile(r"[0-9]{1,5}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")


def parse_bindings(data: bytes, *, once: bool) -> tuple[Binding, ...]:
    """Read the bytes of a file; raises `ValueError` with a few words for anything odd in it."""
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"it has more than {MAX_FILE_BYTES // 1024} KiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    entries = document.get("bindings") if isinstance(document, dict) else None
    if not isinstance(entries, list) or document.get("schema") != SCHEMA:
        raise ValueError('it is no list of bindings of the format "bindings/1"')
    if len(entries) > MAX_BINDINGS:
        raise ValueError(f"it holds more than {MAX_BINDINGS} bindings")
    marks = [_parse_entry(entry, number, once=once) for number, entry in enumerate(entries, 1)]
    if len({mark.key for mark in marks}) < len(marks):
        raise ValueError("it has a binding twice")
    return tuple(marks)


def _parse_entry(entry: object, number: int, *, once: bool) -> Binding:
    if not isinstance(entry, dict) or not set(entry) <= _KEYS:
        raise ValueError(f"binding {number} is none")
    id_, serial, busid = entry.get("id"), entry.get("serial"), entry.get("busid")
    forced = entry.get("forced", False)
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise ValueError(f"binding {number} has no VID:PID")
    if serial is not None and not (
        isinstance(serial, str) and 0 < len(serial) <= MAX_SERIAL_CHARACTERS
    ):
        raise ValueError(f"binding {number} has no usable serial number")
    if busid is not None and not (isinstance(busid, str) and _BUSID.fullmatch(busid)):
        raise ValueError(f"binding {number} has no usable bus id")
    if serial is None and busid is None:
        raise ValueError(f"binding {number} has neither a serial number nor a bus id")
    if not isinstance(forced, bool):
        raise ValueError(f"binding {number}: forced is neither true nor false")
    return Binding(id_, serial, busid, forced, once)


def build_bindings(marks: Sequence[Binding]) -> bytes:
    """The bytes of a file that holds these marks; which of the two files says `once`."""
    entries = [
        {"id": mark.id, "serial": mark.serial, "busid": mark.busid, "forced": mark.forced}
        for mark in marks
    ]
    return json.dumps({"schema": SCHEMA, "bindings": entries}, indent=1).encode() + b"\n"
