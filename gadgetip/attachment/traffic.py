"""What has moved through an attachment, as one record that goes from the worker to whoever asks.

Nothing but the record and its form lives here: who reads it needs neither a gadget nor a pump.
"""

import json
from dataclasses import asdict, dataclass, fields

MAX_ROUND_TRIP_S = 2**32 / 1e6
"""The kernel counts it in microseconds, in 32 bits."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What has moved since the device was attached.

    `bytes_in` went towards the host, `bytes_out` towards the device. `discarded` bytes were taken
    from one side and never reached the other, which is always reported as well. URBs, halts and
    errors are None where the kernel carries the traffic and does not count. `round_trip_s` is the
    kernel's smoothed estimate for the connection, in seconds, `shortest_round_trip_s` the least
    that it has seen of late, `retransmits` the segments that it sent again. `saved_round_trips` are
    URBs that cost the host no wait at all, where the native pump carries them to vhci.
    """

    bytes_in: int = 0
    bytes_out: int = 0
    urbs_in: int | None = None
    urbs_out: int | None = None
    discarded: int | None = None
    halts: int | None = None
    errors: int | None = None
    round_trip_s: float | None = None
    shortest_round_trip_s: float | None = None
    retransmits: int | None = None
    saved_round_trips: int | None = None


_NAMES = {field.name for field in fields(Traffic)}
_DURATIONS = {"round_trip_s", "shortest_round_trip_s"}
_COUNTED_ALWAYS = {"bytes_in", "bytes_out"}


def pack_traffic(traffic: Traffic) -> str:
    """As text, for the channel."""
    return json.dumps(asdict(traffic))


def parse_traffic(text: str) -> Traffic | None:
    """Read what a worker packed; None for what is none, for a worker is not to be trusted."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    traffic = traffic_of(values)
    if traffic is None or None in (traffic.urbs_in, traffic.urbs_out, traffic.discarded):
        return None
    return None if traffic.halts is None or traffic.errors is None else traffic


def traffic_of(values: object) -> Traffic | None:
    """Traffic that was written as JSON; None for what is none."""
    if not isinstance(values, dict) or set(values) != _NAMES:
        return None
    for name, value in values.items():
        if value is None:
            if name in _COUNTED_ALWAYS:
                return None
        elif name in _DURATIONS:
            if type(value) not in (int, float) or not 0 <= value <= MAX_ROUND_TRIP_S:
                return None
        elif type(value) is not int or value < 0:
            return None
    return Traffic(**values)
