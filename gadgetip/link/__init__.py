"""link: yields a connected stream to a server.

A stream is a connected `SOCK_STREAM` socket that carries USB/IP and whose death is noticed within
seconds. TCP today; whatever comes later (TLS, a link that resumes) ends in a socket as well, so
that nothing outside this room has to know.
"""

from gadgetip.link.address import HostAddress
from gadgetip.link.tcp import (
    CONNECT_LIMIT_S,
    Endpoints,
    UnknownHostError,
    connect,
    connect_between,
    tune,
)
from gadgetip.link.tcp_info import ConnectionInfo, connection_info

__all__ = [
    "CONNECT_LIMIT_S",
    "ConnectionInfo",
    "Endpoints",
    "HostAddress",
    "UnknownHostError",
    "connect",
    "connect_between",
    "connection_info",
    "tune",
]
