"""Each boot is a trial: passed once the board is well, ended where it does not get well."""

import re
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from gadgetip.appliance import watching
from gadgetip.appliance.card_here import Card
from gadgetip.appliance.health import SETTLED_S, START_LIMIT_S, TRIAL_LIMIT_S
from gadgetip.appliance.slots import Slot, Slots, after_writing, before_writing, next_boot
from gadgetip.appliance.storage import Storage
from gadgetip.appliance.trial import PATIENCE_S, Trial
from gadgetip.appliance.watching import INTERVAL_S, watch
from gadgetip.errors import PrerequisiteError
from gadgetip.supervisor.states import State

from .images import new_card

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """Just booted: an update is in slot B, and on its first trial."""
    return new_card(tmp_path, Slot.B, Slots(Slot.B, 9, 2))


def identity(card: Card) -> Card:
    return card


def set_boot_state(card: Card, slots: Slots) -> None:
    card.change_boot_state(lambda _: slots)


def silent(text: str) -> None:
    assert text.isprintable()


def test_a_trial_is_passed_once(card: Card) -> None:
    trial = Trial(silent, lambda: card)
    trial.pass_it()
    assert not trial.open
    assert card.boot_state() == Slots(Slot.B, 3, 9)
    # An update is written now. A watch that is started anew must not take that back.
    set_boot_state(card, Slots(Slot.A, 3, 9))
    trial.pass_it()
    again = Trial(silent, lambda: card)
    assert not again.open
    again.pass_it()
    assert card.boot_state() == Slots(Slot.A, 3, 9)


@pytest.mark.parametrize("left", [2, 8])
@pytest.mark.parametrize("change", [before_writing, after_writing])
def test_what_was_written_or_preferred_during_a_trial_stands(
    card: Card, change: "Callable[[Slots, Slot], Slots]", left: int
) -> None:
    """`board update --force`, halfway and done, and `board rollback`."""
    set_boot_state(card, Slots(Slot.B, 3, left))
    trial = Trial(silent, lambda: card)
    changed = card.change_boot_state(lambda slots: change(slots, Slot.B))
    trial.pass_it()
    assert not trial.open
    assert card.boot_state() == changed.having(Slot.B, 9)


def test_a_restart_that_does_not_return(card: Card) -> None:
    def hang(command: list[str]) -> None:
        raise subprocess.TimeoutExpired(command, 30)

    said: list[str] = []
    trial = Trial(said.append, lambda: card, hang)
    trial.fail(0.0)
    trial.fail(PATIENCE_S)
    assert len(said) == 4
    assert "--force" in said[-1]


def test_the_one_that_runs_in_the_others_place_is_kept(card: Card) -> None:
    fallen_back = replace(card, running=Slot.A)
    set_boot_state(card, Slots(Slot.B, 8, 0))
    Trial(silent, lambda: fallen_back).pass_it()
    assert card.boot_state() == Slots(Slot.A, 9, 0)


@pytest.mark.parametrize(("left", "told"), [(0, True), (2, False)])
def test_an_update_that_did_not_get_well_is_told_of(tmp_path: Path, left: int, told: bool) -> None:
    card = new_card(tmp_path, Slot.A, Slots(Slot.A, 9, left))
    content = card.content(Slot.A)
    assert content is not None
    said: list[str] = []
    Trial(said.append, lambda: card)
    assert said == []  # there never was anything in the other slot
    card.write_content(Slot.B, content)
    Trial(said.append, lambda: card)
    assert [bool(re.search(r"slot B \(.+\) did not get well", text)) for text in said] == [
        True
    ] * told


def test_a_card_that_cannot_be_written(card: Card) -> None:
    def read_only(path: Path, **options: bool) -> Storage:
        if options.get("writing"):
            raise OSError(30, "Read-only file system")
        return Storage(path)

    said: list[str] = []
    trial = Trial(said.append, lambda: replace(card, open=read_only))
    for _ in range(9):
        trial.pass_it()
    assert not trial.open
    assert len(said) == 3
    assert "Read-only file system" in said[0]


def test_without_a_card_there_is_no_trial() -> None:
    def missing() -> Card:
        raise PrerequisiteError("no slot")

    said: list[str] = []
    trial = Trial(said.append, missing, said.extend)
    assert not trial.open
    trial.pass_it()
    trial.fail(0.0)
    assert said == ["which system boots next is left as it is: no slot"]


def test_a_trial_that_fails_restarts_ever_more_roughly(card: Card) -> None:
    asked: list[list[str]] = []
    trial = Trial(silent, lambda: card, asked.append)
    for second in range(int(PATIENCE_S * 3.5)):
        trial.fail(float(second))
    assert asked == [
        ["systemctl", "reboot"],
        ["systemctl", "reboot", "--force"],
        ["systemctl", "reboot", "--force", "--force"],
        ["systemctl", "reboot", "--force", "--force"],
    ]
    assert card.boot_state() == Slots(Slot.B, 9, 2), "the boot loader counts, nobody else"


class Watched:
    """`watch` with a clock of its own; `answers` says whether the supervisor does, at a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, card: Card) -> None:
        self.now = 1000.0
        self.restarts: list[float] = []
        self.passed: float | None = None
        self.card = card
        self.directory = directory
        self.answers: Callable[[float], bool] = lambda _: True
        (directory / "leds").mkdir()
        monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(watching, "_states", self._states)

    def _states(self) -> list[State] | None:
        return [State.RUNNING] if self.answers(self.now - 1000) else None

    def run(self, until_s: float) -> None:
        def restart(_: list[str]) -> None:
            self.restarts.append(self.now - 1000)

        trial = Trial(silent, lambda: self.card, restart)

        def wait(seconds: float) -> bool:
            if self.passed is None and not trial.open:
                self.passed = self.now - 1000
            self.now += seconds
            return self.now - 1000 > until_s

        watch(
            wait=wait,
            say=silent,
            leds=self.directory / "leds",
            watchdog=self.directory / "watchdog",
            problem_file=self.directory / "problem",
            misread_file=self.directory / "misread",
            config=self.directory / "config",
            trial=trial,
        )


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, card: Card) -> Watched:
    return Watched(monkeypatch, tmp_path, card)


def test_a_board_that_is_well_is_kept(watched: Watched) -> None:
    watched.answers = lambda second: second >= 10
    watched.run(100)
    assert watched.passed is not None
    assert 10 + SETTLED_S <= watched.passed <= 10 + SETTLED_S + 2 * INTERVAL_S
    assert watched.card.boot_state() == Slots(Slot.B, 3, 9)
    assert watched.restarts == []


def test_a_supervisor_that_comes_and_goes_is_not_enough(watched: Watched) -> None:
    watched.answers = lambda second: second % 20 < 16
    watched.run(2 * START_LIMIT_S)
    assert watched.passed is None
    assert watched.card.boot_state() == Slots(Slot.B, 9, 2)


@pytest.mark.parametrize("dog", [True, False])
def test_one_that_crashes_again_and_again_ends_by_a_restart(watched: Watched, dog: bool) -> None:
    """It is silent for too short a time to be missed, and never there for long enough."""
    watched.answers = lambda second: second % 20 < 10
    if dog:
        (watched.directory / "watchdog").touch()
    watched.run(TRIAL_LIMIT_S + 60)
    assert watched.passed is None
    if dog:
        fed = (watched.directory / "watchdog").read_bytes().count(0)
        assert fed <= TRIAL_LIMIT_S / INTERVAL_S + 1
    else:
        assert TRIAL_LIMIT_S < watched.restarts[0] <= TRIAL_LIMIT_S + 2 * INTERVAL_S


@pytest.mark.parametrize("reason", ["config", "misread"])
def test_a_problem_is_no_excuse_where_a_supervisor_should_run(
    watched: Watched, reason: str
) -> None:
    """The last configuration goes on; or this system refuses what the one before took over."""
    watched.answers = lambda _: False
    (watched.directory / "problem").touch()
    (watched.directory / reason).touch()
    watched.run(START_LIMIT_S + 30)
    assert watched.passed is None
    assert len(watched.restarts) == 1


def test_a_refused_configuration_is_its_owners_business(watched: Watched) -> None:
    watched.answers = lambda _: False
    (watched.directory / "problem").touch()
    watched.run(100)
    assert watched.passed is not None
    assert watched.restarts == []


def test_a_board_that_does_not_get_well_starts_again(watched: Watched) -> None:
    watched.answers = lambda _: False
    watched.run(START_LIMIT_S + 30)
    assert len(watched.restarts) == 1
    assert START_LIMIT_S < watched.restarts[0] <= START_LIMIT_S + 2 * INTERVAL_S


def test_with_a_watchdog_the_hardware_does_it(watched: Watched) -> None:
    watched.answers = lambda _: False
    (watched.directory / "watchdog").touch()
    watched.run(START_LIMIT_S + 30)
    assert watched.restarts == []
    fed = (watched.directory / "watchdog").read_bytes().count(0)
    assert fed <= START_LIMIT_S / INTERVAL_S + 1


def test_a_board_that_was_well_before_is_not_restarted_by_the_trial(watched: Watched) -> None:
    watched.answers = lambda second: second < 100
    watched.run(1000)
    assert watched.passed is not None
    assert watched.restarts == []


@pytest.mark.parametrize("good", [True, False])
def test_an_update_from_its_first_boot_on(card: Card, good: bool) -> None:
    """As U-Boot, and a board that gets well or does not, go on from one boot to the next."""
    set_boot_state(card, Slots(Slot.B, 9, 3))
    ran = []
    for _ in range(5):
        slot, saved = next_boot(card.boot_state())
        set_boot_state(card, saved)
        ran.append(slot)
        if good or slot is Slot.A:
            booted = replace(card, running=slot)
            Trial(silent, partial(identity, booted)).pass_it()
    assert "".join(ran) == ("BBBBB" if good else "BBBAA")
