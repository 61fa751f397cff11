"""The schedule: reproducible, complete, and careful with crashes."""

import random
from dataclasses import dataclass

from tests.soak.schedule import CRASHES, MINUTE_S, Drawn, Schedule

NAMES = ("storage", "keyboard")


@dataclass(frozen=True)
class Kind:
    name: str
    hits_all: bool = False
    is_crash: bool = False
    longest_s: float = 0.0


CUT, ALL = Kind("cut", longest_s=3.0), Kind("all", hits_all=True)
CRASH = Kind("crash", is_crash=True)


def draw(*kinds: Kind, seed: int = 1, times: int = 50, step_s: float = 5.0) -> list[Drawn[Kind]]:
    schedule = Schedule(kinds, NAMES, random.Random(seed))
    return [schedule.draw(number * step_s) for number in range(times)]


def test_the_seed_decides() -> None:
    assert draw(CUT, ALL, CRASH) == draw(CUT, ALL, CRASH)
    assert draw(CUT, ALL, CRASH) != draw(CUT, ALL, CRASH, seed=2)


def test_every_kind_comes_once_before_any_comes_twice() -> None:
    drawn = draw(CUT, ALL, CRASH, times=5)
    pairs = {(each.disturbance.name, each.target) for each in drawn}
    assert len(pairs) == 5
    assert sum(each.disturbance is ALL for each in drawn) == 1


def test_it_lasts_no_longer_than_it_may() -> None:
    lasts = [each.lasts_s for each in draw(CUT, ALL)]
    assert max(lasts) <= CUT.longest_s
    assert len(set(lasts)) > 10


def test_crashes_do_not_park_an_attachment() -> None:
    step_s = 2.0
    drawn = draw(CUT, CRASH, times=500, step_s=step_s)
    for name in NAMES:
        at = [
            n * step_s for n, d in enumerate(drawn) if d.disturbance is CRASH and d.target == name
        ]
        for begin in at:
            assert sum(begin <= each < begin + MINUTE_S for each in at) <= CRASHES


def test_where_there_are_only_crashes_it_waits() -> None:
    drawn = draw(CRASH, times=20, step_s=0.0)
    assert max(each.pause_s for each in drawn) > MINUTE_S
