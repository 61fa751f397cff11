"""What `gadgetip board setup` has changed, written down so that it can be taken back.

The record is written before the first change: what was begun can be undone. A file that somebody
edited and that was then changed again is in it twice, so that the edit outlives both.
"""

import base64
import binascii
import json
from collections.abc import Iterable

from gadgetip.appliance.setup_plan import FileChange

SCHEMA = "setup/1"
MAX_BYTES = 1 << 20


def merge(earlier: Iterable[FileChange], later: Iterable[FileChange]) -> tuple[FileChange, ...]:
    """All changes in the order in which they were done; the same one again is there once."""
    merged: dict[tuple[str, bytes | None, bytes], FileChange] = {}
    for change in (*earlier, *later):
        key = (change.path, change.before, change.after)
        merged.pop(key, None)
        merged[key] = FileChange(*key, change.reason)
    return tuple(merged.values())


def format_record(changes: Iterable[FileChange]) -> bytes:
    """The record's bytes."""
    rows = [
        {
            "path": change.path,
            "before": None if change.before is None else _encoded(change.before),
            "after": _encoded(change.after),
            "reason": change.reason,
        }
        for change in changes
    ]
    return json.dumps({"schema": SCHEMA, "changes": rows}, indent=2).encode("ascii") + b"\n"


def parse_record(data: bytes) -> tuple[FileChange, ...] | None:
    """The changes that a record has; None if it is none."""
    if len(data) > MAX_BYTES:
        return None
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    rows = record.get("changes")
    if not isinstance(rows, list):
        return None
    changes = [_change(row) for row in rows]
    return None if None in changes else tuple(change for change in changes if change is not None)


def _change(row: object) -> FileChange | None:
    if not isinstance(row, dict):
        return None
    path, reason = row.get("path"), row.get("reason")
    if not isinstance(path, str) or not path.startswith("/") or not isinstance(reason, str):
        return None
    try:
        before = None if row.get("before") is None else _decoded(row["before"])
        after = _decoded(row.get("after"))
    except ValueError:
        return None
    return FileChange(path, before, after, reason)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("no text")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
