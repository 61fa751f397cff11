"""What `gadgetip run` is told to do, as data.

A configuration is a value: two of them are compared to find out what a reload has to touch, and
what is equal is left alone.
"""

from dataclasses import dataclass, field
from pathlib import Path

from gadgetip.link import HostAddress
from gadgetip.matching import MatchSelector
from gadgetip.supervisor.board_config import BoardConfig

CONFIG_FILE = Path("/etc/gadgetip/gadgetip.toml")
AUTO = "auto"
SINKS = ("gadget", "vhci")
PUMPS = {"gadget": ("auto", "native", "python"), "vhci": ("auto", "kernel", "native")}
"""What may carry the traffic, by where the device goes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all attachments; seconds and milliseconds as the names say.

    A server that is away is asked again after `retry_min_s`, then after twice as long each time, up
    to `retry_max_s`. An awaited device is asked for every `poll_ms`. `hooks` is the directory of
    programs that run on changes of state, "" for none.
    """

    retry_min_s: float = 0.5
    retry_max_s: float = 30.0
    poll_ms: int = 500
    hooks: str = "/etc/gadgetip/hooks.d"


@dataclass(frozen=True, slots=True)
class ConfiguredAttachment:
    """One `[[attachment]]`.

    `to` is one of `SINKS`, `pump` one of its `PUMPS`; `udc` and `profile` are names, a path, or
    "auto". `on_loss` and `hold_s` go before those of the profile where they are not None.
    """

    name: str
    server: HostAddress
    wanted: MatchSelector
    to: str = "gadget"
    udc: str = AUTO
    profile: str = AUTO
    pump: str = AUTO
    enabled: bool = True
    on_loss: str | None = None
    hold_s: float | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole file; no two attachments have the same name, and their order counts.

    `board` is None where the file has no `[board]`, as it has to be anywhere but on an image.
    """

    settings: Settings = field(default_factory=Settings)
    attachments: tuple[ConfiguredAttachment, ...] = ()
    board: BoardConfig | None = None

    def attachment(self, name: str) -> ConfiguredAttachment | None:
        """The attachment of this name."""
        return next((each for each in self.attachments if each.name == name), None)
