"""The table that `gadgetip status` prints, of what the supervisor answers."""

from collections.abc import Sequence
from typing import Any

from gadgetip.cli.output import safe

HEADER = (
    *("NAME", "STATE", "SINCE", "DEVICE", "ON", "HOST", "SPEED", "IN", "OUT", "RTT"),
    *("ERRORS", "LOSSES", "RESTARTS"),
)
_UNITS = ("B", "kB", "MB", "GB", "TB")


def row(attachment: dict[str, Any], now: float) -> tuple[str, ...]:
    """One line; `now` is in seconds of the epoch."""
    traffic = attachment["traffic"] or {}
    trip = traffic.get("round_trip_ms")
    port = attachment["port"]
    configured = attachment["host_configured"]
    return (
        attachment["name"],
        attachment["state"],
        duration(now - attachment["since"]),
        _device(attachment),
        attachment["udc"] or ("-" if port is None else f"port {port}"),
        "-" if configured is None else "yes" if configured else "no",
        attachment["speed"] or "-",
        size(traffic.get("bytes_in")),
        size(traffic.get("bytes_out")),
        "-" if trip is None else f"{trip:.1f} ms",
        _count(traffic.get("errors")),
        str(attachment["losses"]),
        str(attachment["restarts"]),
    )


def figures(attachments: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each attachment that has moved something: what the table has no room for."""
    return [
        safe(
            f"{each['name']}: URBs {_count(traffic.get('urbs_in'))} in, "
            f"{_count(traffic.get('urbs_out'))} out; {_count(traffic.get('errors'))} failed, "
            f"{_count(traffic.get('halts'))} halts, {size(traffic.get('discarded'))} discarded"
            f"{_saved(traffic.get('saved_round_trips'))}"
        )
        for each in attachments
        if (traffic := each["traffic"])
    ]


def _saved(round_trips: int | None) -> str:
    return "" if round_trips is None else f"; {round_trips} round trips saved"


def reasons(attachments: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each attachment that has a reason to be as it is."""
    return [safe(f"{each['name']}: {each['reason']}") for each in attachments if each["reason"]]


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 42s, 5m, 3h, 12d."""
    whole = max(int(seconds), 0)
    for limit, unit, letter in ((60, 1, "s"), (3600, 60, "m"), (2 * 86400, 3600, "h")):
        if whole < limit:
            return f"{whole // unit}{letter}"
    return f"{whole // 86400}d"


def size(count: int | None) -> str:
    """Bytes in decimal units, three digits: 999 B, 1.23 MB."""
    if count is None:
        return "-"
    value = float(count)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _device(attachment: dict[str, Any]) -> str:
    if attachment["id"] is None:
        return f"({attachment['match']} of {attachment['server']})"
    return f"{attachment['device']} ({attachment['id']}, {attachment['busid']})"
