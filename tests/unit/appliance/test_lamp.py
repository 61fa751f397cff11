"""What the lamp says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.lamp import (
    LAMPS,
    LIGHTS,
    RHYTHMS,
    Light,
    choose_lamp,
    lamp_writes,
    light_of,
)
from gadgetip.appliance.watching import Lamp
from gadgetip.supervisor.states import State

states = st.lists(st.sampled_from(State), max_size=6)


def light(*found: State) -> Light:
    return light_of(found, problem=False, silent=False)


@given(st.none() | states, st.booleans(), st.booleans())
def test_a_problem_goes_before_everything(found: list[State] | None, a: bool, b: bool) -> None:
    shown = light_of(found, problem=a, silent=b)
    assert (shown is Light.FAULT) or not (a or b)
    assert (shown is Light.BOOTING) == (found is None and not (a or b))


@given(states)
def test_the_order_does_not_matter(found: list[State]) -> None:
    assert light(*found) is light(*reversed(found)) is light(*found, *found)


@given(states)
def test_running_means_that_nothing_is_awaited(found: list[State]) -> None:
    if light(*found) is Light.RUNNING:
        assert set(found) <= {State.RUNNING, State.STOPPED, State.WAITING_FOR_CONTROLLER}
        assert State.RUNNING in found or set(found) == {State.STOPPED}


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ((), Light.FAULT),
        ((State.STOPPED,), Light.RUNNING),
        ((State.WAITING_FOR_CONTROLLER,), Light.FAULT),
        ((State.WAITING_FOR_CONTROLLER, State.RUNNING), Light.RUNNING),
        ((State.RUNNING, State.WAITING_FOR_DEVICE), Light.WAITING_FOR_DEVICE),
        ((State.WAITING_FOR_SERVER, State.WAITING_FOR_DEVICE), Light.WAITING_FOR_SERVER),
        ((State.BOUND,), Light.WAITING_FOR_HOST),
        ((State.RUNNING, State.REFUSED), Light.FAULT),
    ],
)
def test_lights(found: tuple[State, ...], shown: Light) -> None:
    assert light(*found) is shown


def test_every_state_has_an_answer_and_every_light_a_rhythm() -> None:
    assert set(LIGHTS) == set(State)
    assert set(RHYTHMS) == set(Light)
    assert len(set(RHYTHMS.values())) == len(Light)


def test_a_lamp_of_the_known_boards() -> None:
    assert choose_lamp(["mmc0::", "default-on", "ACT"]) == "ACT"
    assert choose_lamp([f"beaglebone:green:usr{n}" for n in range(4)]) == LAMPS[2]
    assert choose_lamp(["input0::capslock"]) is None


def test_what_the_kernel_is_told() -> None:
    assert lamp_writes(Light.FAULT, ["none", "timer", "pattern"], 255)[1] == (
        "pattern",
        "255 150 255 0 0 150 0 0 255 150 255 0 0 150 0 0 255 150 255 0 0 1250 0 0",
    )
    assert lamp_writes(Light.WAITING_FOR_DEVICE, ["none", "timer"], 1) == [
        ("trigger", "timer"),
        ("delay_on", "100"),
        ("delay_off", "1600"),
    ]
    assert lamp_writes(Light.RUNNING, ["pattern"], 1) == [("trigger", "none"), ("brightness", "1")]
    assert lamp_writes(Light.FAULT, ["none"], 1) == [("trigger", "none"), ("brightness", "0")]


@given(st.sampled_from(Light), st.integers(1, 255))
def test_patterns_take_as_long_as_their_rhythms(shown: Light, brightest: int) -> None:
    for file, value in lamp_writes(shown, ["pattern"], brightest):
        if file == "pattern":
            numbers = [int(number) for number in value.split()]
            assert sum(numbers[1::2]) == sum(RHYTHMS[shown])
            assert set(numbers[::2]) == {0, brightest}
            assert len(value) < 200  # the kernel takes a page


def test_the_files_of_a_lamp(tmp_path: Path) -> None:
    directory = tmp_path / "ACT"
    directory.mkdir()
    (directory / "trigger").write_text("none timer [mmc0] pattern\n")
    (directory / "max_brightness").write_text("255\n")
    Lamp(tmp_path).show(Light.WAITING_FOR_SERVER)
    assert (directory / "trigger").read_text() == "pattern"
    assert (directory / "pattern").read_text() == "255 1000 255 0 0 1000 0 0"
    Lamp(tmp_path / "none").show(Light.RUNNING)  # no lamp, no error


def test_a_lamp_whose_driver_comes_late(tmp_path: Path) -> None:
    lamp = Lamp(tmp_path)
    assert not lamp.look()
    directory = tmp_path / "ACT"
    directory.mkdir()
    (directory / "trigger").write_text("[none] timer\n")
    (directory / "max_brightness").write_text("1\n")
    assert lamp.look()
    assert not lamp.look()
    lamp.show(Light.RUNNING)
    assert (directory / "brightness").read_text() == "1"
