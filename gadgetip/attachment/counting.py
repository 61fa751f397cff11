"""Counting what has moved through an attachment: the pump's figures, and the connection's."""

import socket
from collections.abc import Mapping
from typing import Any

from gadgetip.attachment.traffic import Traffic
from gadgetip.link import connection_info
from gadgetip.pump import EndpointStatistics


def count_traffic(statistics: Mapping[int, EndpointStatistics], stream: socket.socket) -> Traffic:
    """Add the endpoints up, by their bEndpointAddress, and ask the kernel for the round trip."""
    incoming = [each for address, each in statistics.items() if address & 0x80]
    outgoing = [each for address, each in statistics.items() if not address & 0x80]
    return Traffic(
        bytes_in=sum(each.moved for each in incoming),
        bytes_out=sum(each.moved for each in outgoing),
        urbs_in=sum(each.urbs for each in incoming),
        urbs_out=sum(each.urbs for each in outgoing),
        discarded=sum(each.discarded for each in statistics.values()),
        halts=sum(each.halts for each in statistics.values()),
        errors=sum(each.errors for each in statistics.values()),
        **connection_figures(stream),
    )


def connection_figures(stream: socket.socket) -> dict[str, Any]:
    """What the kernel says of the connection, by the names that `Traffic` has for it."""
    info = connection_info(stream)
    if info is None:
        return {}
    return {
        "round_trip_s": info.round_trip_s,
        "shortest_round_trip_s": info.shortest_round_trip_s,
        "retransmits": info.retransmits,
    }
