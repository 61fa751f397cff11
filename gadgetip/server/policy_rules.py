"""The export policy, as data: what is exported from this machine, to whom, and within which limits.

A policy holds wishes about devices that may not be there; `exports` decides about those that are.
The defaults here are the format's defaults; the TOML form (`policy_form`) takes them from here.
They export nothing by themselves and listen where only this machine itself gets: USB/IP is neither
encrypted nor authenticated.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from gadgetip.matching import Match

Network = IPv4Network | IPv6Network
StubChoice = Literal["auto", "kernel", "userspace"]
When = Literal["plugged", "bound"]

STUBS: tuple[StubChoice, ...] = ("auto", "kernel", "userspace")
WHENS: tuple[When, ...] = ("plugged", "bound")


@dataclass(frozen=True, slots=True)
class ExportRule:
    """One `[[export]]`: devices that are exported, under which name, and to whom."""

    name: str
    """In logs and lists."""
    matches: tuple[Match, ...]
    publish_as: str | None = None
    """The bus id that clients see; None: the device's own."""
    when: When = "plugged"
    """"plugged": as soon as it is there; "bound": only what was bound by hand."""
    clients: tuple[Network, ...] = ()
    """Who may import it; () is everybody who reaches a listener."""


@dataclass(frozen=True, slots=True)
class DenyRule:
    """One `[[deny]]`: devices that are never exported, whatever else says so."""

    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy. No two of its exports have the same name or the same `publish_as`."""

    listen: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses, without ports."""
    port: int = 3240
    stub: StubChoice = "auto"
    max_sessions: int = 16
    """Devices in use at a time."""
    max_sessions_per_client: int = 4
    """Devices in use at a time by one client's address."""
    max_new_connections_per_s: int = 5
    """New connections in a second from one client's address."""
    dead_client_s: float = 20
    """Seconds after which the device of a client that is silent is free again."""
    exports: tuple[ExportRule, ...] = ()
    denies: tuple[DenyRule, ...] = ()


DEFAULT_POLICY = Policy()
"""Without a file: what was bound by hand, for this machine itself."""
