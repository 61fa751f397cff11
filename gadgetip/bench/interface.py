"""The network interface that leads to a server, and how fast it calls itself."""

import contextlib
import socket
from ipaddress import IPv4Address
from pathlib import Path

from gadgetip.bench.kernel_texts import interface_to
from gadgetip.bench.verdict import Interface
from gadgetip.errors import GadgetipError
from gadgetip.link import HostAddress

ROUTES = Path("/proc/net/route")
INTERFACES = Path("/sys/class/net")


def interface_of(server: str) -> Interface | None:
    """The interface to HOST, where its speed is known: Ethernet, and over IPv4.

    Wi-Fi has no speed that stays, loopback and tunnels have none.
    """
    try:
        host = HostAddress.parse(server).host
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
        name = interface_to(IPv4Address(found[0][4][0]), ROUTES.read_text())
    except (GadgetipError, OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        mbit_per_s = int((INTERFACES / (name or "") / "speed").read_text())
        if name and mbit_per_s > 0:
            return Interface(name, mbit_per_s * 1e6)
    return None
