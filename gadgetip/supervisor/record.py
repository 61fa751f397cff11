"""What is known of one attachment: its state, why, since when, and what its process has said.

Nothing here has effects: messages and events come in, what `status` shows and the lines for the log
come out.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gadgetip.supervisor.config import ConfiguredAttachment
from gadgetip.supervisor.log_ring import in_one_line
from gadgetip.supervisor.messages import Message, News, Value
from gadgetip.supervisor.states import HAVING, Event, State, follow

CRASHES = 5
CRASH_PERIOD_S = 60.0

_EVENTS = {
    News.IMPORTING: Event.IMPORT,
    News.IMPORTED: Event.PLAN,
    News.BOUND: Event.BIND,
    News.ATTACHED: Event.ATTACH,
    News.HELD: Event.HOLD,
    News.RESUMED: Event.RESUME,
    News.LOST: Event.LOSE,
    News.PAUSED: Event.PAUSE,
    News.REFUSED: Event.REFUSE,
}


@dataclass(slots=True)
class Facts:
    """What is known of the device while it is here; None is "not known"."""

    busid: str | None = None
    id: str | None = None
    device: str | None = None
    port: int | None = None
    backend: str | None = None
    profile: str | None = None
    speed: str | None = None
    host_configured: bool | None = None
    traffic: dict[str, Value] | None = None


@dataclass(slots=True)
class Record:
    """One attachment; times in seconds of the epoch, but for crashes, which are monotonic.

    `changed` is called after each change of state, `said` with each line for the log.
    """

    configured: ConfiguredAttachment
    changed: Callable[["Record"], None]
    said: Callable[["Record", str], None]
    now: Callable[[], float]
    state: State = State.STOPPED
    since: float = 0.0
    reason: str = ""
    udc: str | None = None
    restarts: int = 0
    losses: int = 0
    facts: Facts = field(default_factory=Facts)
    _crashes: deque[float] = field(default_factory=lambda: deque(maxlen=CRASHES))

    def __post_init__(self) -> None:
        self.since = self.now()

    def happen(self, event: Event, reason: str = "") -> None:
        """Follow an event; one that cannot come in this state changes nothing and is said.

        The reason may have been put into words elsewhere; hooks and people are given one line.
        """
        reason = in_one_line(reason)
        after = follow(self.state, event)
        if after is None:
            self.said(self, f'this is a bug: "{event}" while it is {self.state}')
            return
        before, self.state = self.state, after
        if after not in HAVING:
            self.facts = Facts()
        news = after is not before or (bool(reason) and reason != self.reason)
        # Why the device was lost is worth more than that there is a pause.
        if reason or after not in {before, State.BACKING_OFF}:
            self.reason = reason
        if after is not before:
            self.since = self.now()
        if news:
            self.said(self, f"{after}: {reason}" if reason else str(after))
        if after is not before:
            self.changed(self)

    def hear(self, message: Message) -> None:
        """Follow what the attachment process says."""
        news = message.news
        if news is News.WAITING:
            awaited = message.text("awaited")
            event = Event.DEVICE_AWAY if awaited == "device" else Event.SERVER_AWAY
            self.happen(event, message.text("reason"))
        elif news is News.CONFIGURED:
            self._configured(message.fields["speed"])
        elif news is News.TRAFFIC:
            self.facts.traffic = dict(message.fields)
        elif news in {News.HOST, News.NOTICE}:
            self.said(self, message.text("text"))
        elif news in _EVENTS:
            self._note(message)
            reason = message.fields.get("reason")
            self.happen(_EVENTS[news], "" if reason is None else str(reason))
            if news is News.RESUMED:
                self.said(self, f"the link was back after {message.number('after_s'):.1f} s")
                if not self.facts.host_configured:
                    self.happen(Event.DECONFIGURE)

    def crashed(self, at: float) -> bool:
        """Note a crash; returns whether it is one too many, `CRASHES` in `CRASH_PERIOD_S`."""
        self.restarts += 1
        self._crashes.append(at)
        return len(self._crashes) == CRASHES and at - self._crashes[0] <= CRASH_PERIOD_S

    def forgive(self) -> None:
        """Somebody wants it to be tried again: earlier crashes do not count."""
        self._crashes.clear()

    def as_json(self) -> dict[str, object]:
        """What `status --json` shows of it, but for its processes."""
        facts = self.facts
        return {
            "name": self.configured.name,
            "state": str(self.state),
            "since": round(self.since, 3),
            "reason": self.reason or None,
            "server": str(self.configured.server),
            "match": str(self.configured.wanted),
            "to": self.configured.to,
            "udc": self.udc,
            "port": facts.port,
            "busid": facts.busid,
            "id": facts.id,
            "device": facts.device,
            "backend": facts.backend,
            "profile": facts.profile,
            "host_configured": facts.host_configured,
            "speed": facts.speed,
            "traffic": facts.traffic,
            "restarts": self.restarts,
            "losses": self.losses,
        }

    def _configured(self, speed: Value) -> None:
        self.facts.host_configured = speed is not None
        if speed is None:
            self.happen(Event.DECONFIGURE)
        else:
            self.facts.speed = str(speed)
            self.happen(Event.CONFIGURE)

    def _note(self, message: Message) -> None:
        """Keep the facts in a message that leads to another state."""
        if message.news in {News.IMPORTING, News.IMPORTED}:
            self.facts = Facts()
        elif message.news is News.BOUND:
            self.facts.host_configured = False
        elif message.news is News.LOST:
            self.losses += 1
        for name in ("busid", "id", "device", "port", "backend", "profile", "speed"):
            if name in message.fields:
                setattr(self.facts, name, message.fields[name])
