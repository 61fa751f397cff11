"""How much one client may ask for, so that none can disturb the others. Pure; the clock is passed.

Three bounds on connections: how many a client may open per second (a token bucket for each), how
many may be talking at once, and how many of those may be one client's. A connection talks for at
most ten seconds, from accept to the end of its one request; a session is none of them any more. Two
bounds on sessions: all together, and those of one client.

For connections a client is an IPv4 address or an IPv6 /64: whoever has one IPv6 address usually has
2**64. Where all places are taken, whoever holds most of them gives one up to whoever holds fewer,
so that nobody is shut out by those that connect and say nothing.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_TALKING = 64
MAX_TALKING_PER_CLIENT = 16
BURST_S = 2.0
"""A client that was quiet may open at once what it could have opened in this time.

`usbip attach` and gadgetip open two or three connections in a row.
"""
MAX_BUCKETS = 4096
MAX_KINDS = 4096
_PREFIX = 64


def client_network(address: str) -> str:
    """Whom connections from this numeric address are counted for."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    network = ipaddress.IPv6Address(int(found) >> _PREFIX << _PREFIX)
    zone = f"%{found.scope_id}" if found.scope_id else ""
    return f"{network}{zone}/{_PREFIX}"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class ConnectionLimits:
    """Who may open a connection now; keeps the book of those that are open."""

    def __init__(self, per_second: float) -> None:
        """`per_second` is how many new connections one client may open each second."""
        self.per_second = per_second
        self._buckets: dict[str, _Bucket] = {}
        self._talking: Counter[str] = Counter()

    @property
    def talking(self) -> int:
        """How many connections are in their operation phase."""
        return self._talking.total()

    def enter(
        self,
        address: str,
        now: float,
        make_room: Callable[[str], bool] | None = None,
    ) -> str | None:
        """Count a new connection of this address; the reason if it must be closed.

        `make_room` is asked where all places are taken, with the `client_network` that holds most:
        it closes one of its connections, calls `leave` for it, and says whether it did.
        """
        client = client_network(address)
        if not self._take_token(client, now):
            return f"more than {self.per_second:g} new connections a second"
        # Counter.get, not []: who is only looked up is not kept.
        own = self._talking.get(client, 0)
        if own >= MAX_TALKING_PER_CLIENT:
            return f"{MAX_TALKING_PER_CLIENT} of its connections have not asked for anything yet"
        if self.talking >= MAX_TALKING:
            crowd, most = self._talking.most_common(1)[0]
            if most <= own or make_room is None or not make_room(crowd):
                return f"{MAX_TALKING} connections have not asked for anything yet"
        self._talking[client] += 1
        return None

    def leave(self, address: str) -> None:
        """A connection that had entered has ended, or has become a session."""
        client = client_network(address)
        self._talking[client] -= 1
        if self._talking[client] <= 0:
            del self._talking[client]

    def _take_token(self, client: str, now: float) -> bool:
        capacity = max(self.per_second * BURST_S, 1.0)
        bucket = self._buckets.get(client)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._forget(now)
            bucket = self._buckets[client] = _Bucket(capacity, now)
        grown = (now - bucket.filled_at) * self.per_second
        bucket.tokens = min(bucket.tokens + max(grown, 0.0), capacity)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again, or else the one that was used longest ago."""
        stale = [c for c, b in self._buckets.items() if now - b.filled_at >= BURST_S]
        if not stale:
            stale = [min(self._buckets, key=lambda c: self._buckets[c].filled_at)]
        for client in stale:
            del self._buckets[client]


def session_refusal(
    clients: Iterable[str], client: str, *, max_sessions: int, max_sessions_per_client: int
) -> str | None:
    """Why `client` may not begin another session, None if it may.

    `clients` has the address of each session that runs or is beginning.
    """
    running = list(clients)
    if len(running) >= max_sessions:
        return f"{len(running)} devices are in use, and max_sessions is {max_sessions}"
    own = running.count(client)
    if own >= max_sessions_per_client:
        return f"it uses {own} devices, and max_sessions_per_client is {max_sessions_per_client}"
    return None


class LineLimiter:
    """At most one line per second of each kind, and a few at once; counts what was left out."""

    def __init__(self, interval_s: float = 1.0, burst: int = 1) -> None:
        """`burst` is how many lines of a kind that was quiet may come at once."""
        self._interval_s = interval_s
        self._burst = burst
        self._next: dict[str, float] = {}  # when the last line would be due at one per interval
        self._left_out: Counter[str] = Counter()

    def admit(self, kind: str, now: float) -> int | None:
        """How many lines were left out since the last one of this kind; None: leave this out."""
        due = self._next.get(kind)
        if due is not None and due - now > self._interval_s * (self._burst - 1):
            self._left_out[kind] += 1
            return None
        if due is None and len(self._next) >= MAX_KINDS:
            self._forget(now)
        self._next[kind] = max(due or now, now) + self._interval_s
        return self._left_out.pop(kind, 0)

    def _forget(self, now: float) -> None:
        """Drop what has been quiet for long enough, or else the kind that was told longest ago."""
        stale = [kind for kind, due in self._next.items() if due <= now]
        for kind in stale or [min(self._next, key=lambda kind: self._next[kind])]:
            del self._next[kind]
            self._left_out.pop(kind, None)
