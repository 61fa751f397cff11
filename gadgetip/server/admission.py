"""How much one client may ask for, so that none can disturb the others. Pure; the clock is passed.

Three bounds on connections: how many a client may open per second (a token bucket for each
address), how many may be talking at once, and how many of those may be one client's. A connection
talks for at most ten seconds, from accept to the end of its one request; a session is none of them
any more. Two bounds on sessions: all together, and those of one client.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MAX_TALKING = 64
MAX_TALKING_PER_CLIENT = 16
BURST_S = 2.0
"""A client that was quiet may open at once what it could have opened in this time.

`usbip attach` and gadgetip open two or three connections in a row.
"""
MAX_BUCKETS = 4096


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class ConnectionLimits:
    """Who may open a connection now; keeps the book of those that are open."""

    def __init__(self, per_second: float) -> None:
        """`per_second` is how many new connections one client address may open each second."""
        self.per_second = per_second
        self._buckets: dict[str, _Bucket] = {}
        self._talking: Counter[str] = Counter()

    @property
    def talking(self) -> int:
        """How many connections are in their operation phase."""
        return self._talking.total()

    def enter(self, client: str, now: float) -> str | None:
        """Count a new connection of the address `client`; the reason if it must be closed."""
        if not self._take_token(client, now):
            return f"more than {self.per_second:g} new connections a second"
        if self._talking[client] >= MAX_TALKING_PER_CLIENT:
            return f"{MAX_TALKING_PER_CLIENT} of its connections have not asked for anything yet"
        if self.talking >= MAX_TALKING:
            return f"{MAX_TALKING} connections have not asked for anything yet"
        self._talking[client] += 1
        return None

    def leave(self, client: str) -> None:
        """A connection that had entered has ended, or has become a session."""
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
    """At most one line per second of each kind; counts what was left out."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._last: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def admit(self, kind: str, now: float) -> int | None:
        """How many lines were left out since the last one of this kind; None: leave this out."""
        last = self._last.get(kind)
        if last is not None and now - last < self._interval_s:
            self._left_out[kind] += 1
            return None
        self._last[kind] = now
        return self._left_out.pop(kind, 0)
