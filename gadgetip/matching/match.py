"""`match`: tables that say which devices are meant, and which of several fits best.

Any table of a list may fit; in one table every key has to, and of the patterns of one key any may.
Patterns are globs. The answer is yes, no, or None where what is known does not tell.

Which rule has a device that several fit is decided by their keys, in this order:

    serial > busid > id > name > class

A rule is compared key by key in that order. A key with plain values goes before the same key with a
glob, and that before a rule that does not have the key; where all keys are alike, one with `not`
goes before one without. So `id` and `class` together go before `id` alone, and `id = "0781:5581"`
before `id = "0781:*"`, but no number of lesser keys outweighs a greater one. Of a list of tables,
the best of those that fit counts. What is alike in all of it is a tie, and no order of rules in a
file breaks it: a rule that wins because of its place surprises whoever sorts the file.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from gadgetip.matching.facts import DeviceFacts

Specificity = tuple[int, ...]
"""Compared with another: the greater one wins."""

_Rule = TypeVar("_Rule")


@dataclass(frozen=True, slots=True)
class Match:
    """One table of `match`: which devices are meant.

    Every field that is not empty has to match; of the patterns in one field any may. Patterns are
    globs. `ids` and `classes` are in lower case, and `classes` have all three parts.
    """

    ids: tuple[str, ...] = ()
    """VID:PID, "0483:57*"."""
    serials: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """The product's name, alone or behind the manufacturer's."""
    classes: tuple[str, ...] = ()
    """The device's class or any interface's, "08/06/50"."""
    busids: tuple[str, ...] = ()
    """The bus id at the server, which tells the port."""
    excluded: "Match | None" = None
    """`not`: devices that match this are not meant; it excludes nothing itself."""

    def fits(self, facts: DeviceFacts) -> bool | None:
        """Whether this device is meant; None where that is not known yet."""
        answers = [
            matches_text(self.serials, facts.serial),
            matches_text(self.busids, facts.busid),
            matches_text(self.ids, facts.id),
            matches_any(self.names, facts.names),
            matches_any(self.classes, facts.classes, are_all=facts.classes_are_all),
        ]
        if self.excluded is not None:
            excluded = self.excluded.fits(facts)
            answers.append(None if excluded is None else not excluded)
        return False if False in answers else None if None in answers else True

    @property
    def specificity(self) -> Specificity:
        """How closely this table names its devices; the greater, the closer."""
        keys = (self.serials, self.busids, self.ids, self.names, self.classes)
        return (*map(_closeness, keys), int(self.excluded is not None))


def fits(matches: Sequence[Match], facts: DeviceFacts) -> bool | None:
    """Whether any of these tables fits; None where that is not known yet. No table fits nothing."""
    answers = [match.fits(facts) for match in matches]
    return True if True in answers else None if None in answers else False


def specificity(matches: Sequence[Match], facts: DeviceFacts) -> Specificity | None:
    """That of the best of those tables that surely fit this device; None if none does."""
    return max((match.specificity for match in matches if match.fits(facts)), default=None)


def best_fits(
    rules: Iterable[_Rule], matches_of: Callable[[_Rule], Sequence[Match]], facts: DeviceFacts
) -> tuple[_Rule, ...]:
    """The rule that fits this device best, () if none does; several if they tie."""
    fitting = [(rank, rule) for rule in rules if (rank := specificity(matches_of(rule), facts))]
    best = max((rank for rank, _ in fitting), default=None)
    return tuple(rule for rank, rule in fitting if rank == best)


def matches_text(patterns: tuple[str, ...], value: str | None) -> bool | None:
    """Whether any of the patterns fits; without a pattern, yes. Nothing fits an empty value."""
    if not patterns:
        return True
    return matches_any(patterns, None if value is None else (value,) if value else ())


def matches_any(
    patterns: tuple[str, ...], values: tuple[str, ...] | None, *, are_all: bool = True
) -> bool | None:
    """Whether any of the patterns fits any of the values; None if one that is not known may."""
    if not patterns:
        return True
    if any(fnmatchcase(value, pattern) for value in values or () for pattern in patterns):
        return True
    return None if values is None or not are_all else False


def _closeness(patterns: tuple[str, ...]) -> int:
    """2 for plain values, 1 if any is a glob, 0 for none."""
    if not patterns:
        return 0
    return 1 if any(character in pattern for pattern in patterns for character in "*?[") else 2
