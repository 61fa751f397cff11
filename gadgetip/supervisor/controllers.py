"""Which attachment has which controller.

Attachments are served in the order in which they are listed. Those that name a controller come
first: one that says "auto" never takes what somebody names, even while the namer has stopped
running on it for lack of anything. Where there are fewer controllers than wishes, the first listed
has one; a later one that runs on it gives it up. Otherwise nobody is moved: whoever runs on a
controller keeps it.

A controller on which somebody else's gadget sits is nobody's, and whose it is, is said.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """An attachment that wants a controller: a certain one, or any (None)."""

    name: str
    udc: str | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller that is there; `foreign` is what sits on it and is not ours."""

    name: str
    foreign: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a wish comes to: a controller, or why there is none."""

    udc: str | None = None
    reason: str = ""


def assign(
    wishes: Sequence[Wish], controllers: Sequence[Controller], current: Mapping[str, str]
) -> dict[str, Assignment]:
    """Give out controllers; `current` is who runs on which now. Every wish has an answer."""
    there = {each.name: each for each in controllers}
    given: dict[str, str] = {}  # whose each controller is
    answers: dict[str, Assignment] = {}
    for wish in wishes:
        if wish.udc is not None:
            answers[wish.name] = _give_named(wish, wish.udc, there, given)
    named = {wish.udc for wish in wishes if wish.udc is not None}
    anyones = [wish for wish in wishes if wish.udc is None]
    open_to_all = [each.name for each in controllers if not each.foreign and each.name not in named]
    for index, wish in enumerate(anyones):
        left = [udc for udc in open_to_all if udc not in given]
        later = [current.get(each.name) for each in anyones[index + 1 :]]
        udc = _best(left, current.get(wish.name), later)
        if udc is not None:
            given[udc] = wish.name
            answers[wish.name] = Assignment(udc)
        else:
            answers[wish.name] = Assignment(reason=_why_none(controllers, given, named))
    return answers


def _best(left: Sequence[str], mine: str | None, later: Sequence[str | None]) -> str | None:
    """Of what is left: the own one, else one that nobody runs on, else the last listed's."""
    if mine in left:
        return mine
    unused = [udc for udc in left if udc not in later]
    taken = [udc for udc in reversed(later) if udc in left]
    return next(iter([*unused, *taken]), None)


def _give_named(
    wish: Wish, udc: str, there: Mapping[str, Controller], given: dict[str, str]
) -> Assignment:
    controller = there.get(udc)
    if controller is None:
        return Assignment(reason=f"this machine has no controller {udc}")
    if controller.foreign:
        return Assignment(reason=f"{udc} is in use by {controller.foreign}: remove that")
    if udc in given:
        return Assignment(reason=f"{given[udc]} has {udc}")
    given[udc] = wish.name
    return Assignment(udc)


def _why_none(
    controllers: Sequence[Controller], given: Mapping[str, str], named: Collection[str]
) -> str:
    if not controllers:
        return (
            "this machine has no USB device controller: on a Raspberry Pi add dtoverlay=dwc2 to "
            "config.txt and restart"
        )
    words = []
    for each in controllers:
        if each.foreign:
            words.append(f"{each.name} is in use by {each.foreign}")
        elif each.name in given:
            words.append(f"{given[each.name]} has {each.name}")
        elif each.name in named:
            words.append(f"{each.name} is kept for an attachment that names it")
    return "; ".join(words)
