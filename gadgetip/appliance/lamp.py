"""What a board's lamp says: one light for all attachments, and how the kernel is told to blink it.

A lamp is a class device of the kernel's (Documentation/leds/leds-class.rst). The trigger `pattern`
blinks any rhythm, `timer` one on and one off; both go on by themselves, so that a lamp costs
nothing while its light does not change. Where a kernel has neither, the lamp is on or off.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum

from gadgetip.supervisor.states import State

LAMPS = ("ACT", "led0", "beaglebone:green:usr0", "beaglebone:green:heartbeat")
"""The lamps of the known boards: Raspberry Pis, Raspberry Pis of older kernels, BeagleBones."""

PROBLEM_HERE = "/run/gadgetip-problem.txt"
"""Is there while the lamp has to tell of a problem: the card's gadgetip-problem.txt once more."""


class Light(StrEnum):
    """What a person is to see, in the words of docs/board.md."""

    BOOTING = "booting"
    WAITING_FOR_SERVER = "waiting for server"
    WAITING_FOR_DEVICE = "waiting for device"
    WAITING_FOR_HOST = "waiting for host"
    RUNNING = "running"
    FAULT = "fault"


RHYTHMS: dict[Light, tuple[int, ...]] = {
    Light.BOOTING: (100, 100),
    Light.WAITING_FOR_SERVER: (1000, 1000),
    Light.WAITING_FOR_DEVICE: (100, 200, 100, 1600),
    Light.WAITING_FOR_HOST: (1800, 200),
    Light.RUNNING: (),
    Light.FAULT: (150, 150, 150, 150, 150, 1250),
}
"""Milliseconds on, off, on, off, and from the beginning again; nothing is steady light."""

LIGHTS: dict[State, Light | None] = {
    State.STOPPED: None,
    State.WAITING_FOR_CONTROLLER: None,
    State.WAITING_FOR_SERVER: Light.WAITING_FOR_SERVER,
    State.WAITING_FOR_DEVICE: Light.WAITING_FOR_DEVICE,
    State.IMPORTING: Light.WAITING_FOR_DEVICE,
    State.PLANNING: Light.WAITING_FOR_DEVICE,
    State.BOUND: Light.WAITING_FOR_HOST,
    State.RUNNING: Light.RUNNING,
    State.HELD: Light.WAITING_FOR_SERVER,
    State.LOST: Light.WAITING_FOR_SERVER,
    State.BACKING_OFF: Light.WAITING_FOR_SERVER,
    State.REFUSED: Light.FAULT,
    State.PARKED: Light.FAULT,
}
"""The light of one attachment; None where it says nothing about the others."""

_WORST_FIRST = (
    Light.FAULT,
    Light.WAITING_FOR_SERVER,
    Light.WAITING_FOR_DEVICE,
    Light.WAITING_FOR_HOST,
    Light.RUNNING,
)


def light_of(states: Collection[State] | None, *, problem: bool, silent: bool) -> Light:
    """The light for the whole board.

    `states` are those of all attachments, None until the supervisor has answered once; `problem`
    says whether gadgetip.toml was refused, `silent` whether the supervisor answers no more.
    The worst attachment counts. One without a controller waits for another one to end; only where
    there is no other is the controller what is missing. What was stopped by hand does not count.
    """
    if problem or silent:
        return Light.FAULT
    if states is None:
        return Light.BOOTING
    lights = {LIGHTS[state] for state in states}
    found = next((light for light in _WORST_FIRST if light in lights), None)
    if found is not None:
        return found
    # None is asked for, or none has a controller; or all of them were stopped, as somebody wanted.
    missing = not states or State.WAITING_FOR_CONTROLLER in states
    return Light.FAULT if missing else Light.RUNNING


def choose_lamp(names: Iterable[str]) -> str | None:
    """The lamp to use, of those in /sys/class/leds; None where none is known as a board's own."""
    there = set(names)
    return next((name for name in LAMPS if name in there), None)


def lamp_writes(light: Light, triggers: Collection[str], brightest: int) -> list[tuple[str, str]]:
    """What to write into which files of the lamp's directory, in this order.

    `triggers` are the names in its file `trigger`, `brightest` is its `max_brightness`. A file may
    be there only once the one before it is written.
    """
    rhythm = RHYTHMS[light]
    if not rhythm:
        return [("trigger", "none"), ("brightness", str(brightest))]
    if "pattern" in triggers:
        return [("trigger", "pattern"), ("pattern", _pattern(rhythm, brightest)), ("repeat", "-1")]
    if "timer" in triggers:
        on, off = rhythm[0], rhythm[-1]
        return [("trigger", "timer"), ("delay_on", str(on)), ("delay_off", str(off))]
    return [("trigger", "none"), ("brightness", "0")]


def _pattern(rhythm: tuple[int, ...], brightest: int) -> str:
    """The rhythm for the trigger `pattern`, which fades from one value to the next.

    A value for its time, then the same value for no time, makes edges instead.
    """
    steps = []
    for index, milliseconds in enumerate(rhythm):
        value = brightest if index % 2 == 0 else 0
        steps.append(f"{value} {milliseconds} {value} 0")
    return " ".join(steps)
