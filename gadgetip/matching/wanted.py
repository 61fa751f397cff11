"""Which device somebody wants: DEVICE of the command line, or the tables of a configuration.

Whoever looks for a device at a server asks the same three questions of either.
"""

from dataclasses import dataclass
from typing import Protocol

from gadgetip.matching.facts import DeviceFacts
from gadgetip.matching.match import Match, fits

_GLOB = frozenset("*?[")


class Wanted(Protocol):
    """Says of a device whether it is meant; `str()` of it is for people, and stays the same."""

    @property
    def exact_busid(self) -> str | None:
        """The bus id, where a device is meant by that alone: it is asked for without a list."""

    def matches(self, facts: DeviceFacts) -> bool | None:
        """Whether this device is meant; None where that is not known yet."""


@dataclass(frozen=True, slots=True)
class MatchSelector:
    """`match`: any of these tables may fit, so that a device and its bootloader are one wish."""

    tables: tuple[Match, ...]

    @property
    def exact_busid(self) -> str | None:
        """The bus id, if there is one table with one plain bus id in it and nothing else."""
        if len(self.tables) != 1 or len(self.tables[0].busids) != 1:
            return None
        [busid] = self.tables[0].busids
        return busid if self.tables[0] == Match(busids=(busid,)) and not _is_glob(busid) else None

    def matches(self, facts: DeviceFacts) -> bool | None:
        """Whether any table fits; None where that is not known yet."""
        return fits(self.tables, facts)

    def __str__(self) -> str:
        return " or ".join(_shown(table) for table in self.tables)


def _shown(table: Match) -> str:
    keys = (
        ("serial", table.serials),
        ("busid", table.busids),
        ("id", table.ids),
        ("name", table.names),
        ("class", table.classes),
    )
    words = [f"{key}={'|'.join(patterns)}" for key, patterns in keys if patterns]
    if table.excluded is not None:
        words.append(f"not ({_shown(table.excluded)})")
    return " ".join(words)


def _is_glob(pattern: str) -> bool:
    return bool(_GLOB & set(pattern))
