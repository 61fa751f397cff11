"""What has moved through a replica, as one record that goes from the worker to whoever asks."""

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, fields

from gadgetip.attachment.listener import Traffic
from gadgetip.link import connection_info
from gadgetip.pump import EndpointStatistics

MAX_ROUND_TRIP_S = 2**32 / 1e6
"""The kernel counts it in microseconds, in 32 bits."""


def count_traffic(statistics: Mapping[int, EndpointStatistics], stream: socket.socket) -> Traffic:
    """Add the endpoints up, by their bEndpointAddress, and ask the kernel for the round trip."""
    incoming = [each for address, each in statistics.items() if address & 0x80]
    outgoing = [each for address, each in statistics.items() if not address & 0x80]
    info = connection_info(stream)
    return Traffic(
        bytes_in=sum(each.moved for each in incoming),
        bytes_out=sum(each.moved for each in outgoing),
        urbs_in=sum(each.urbs for each in incoming),
        urbs_out=sum(each.urbs for each in outgoing),
        discarded=sum(each.discarded for each in statistics.values()),
        halts=sum(each.halts for each in statistics.values()),
        errors=sum(each.errors for each in statistics.values()),
        round_trip_s=info.round_trip_s if info is not None else None,
    )


def pack_traffic(traffic: Traffic) -> str:
    """As text, for the channel."""
    return json.dumps(asdict(traffic))


def parse_traffic(text: str) -> Traffic | None:
    """Read it again; None for what is none, for a worker is not to be trusted."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    names = {field.name for field in fields(Traffic)}
    if not isinstance(values, dict) or set(values) != names:
        return None
    round_trip_s = values.pop("round_trip_s")
    if round_trip_s is not None and (
        type(round_trip_s) not in (int, float) or not 0 <= round_trip_s <= MAX_ROUND_TRIP_S
    ):
        return None
    if not all(type(value) is int and value >= 0 for value in values.values()):
        return None
    return Traffic(**values, round_trip_s=round_trip_s)
