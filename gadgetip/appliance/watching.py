"""`gadgetip board watch`: the lamp and the hardware watchdog of a board, every two seconds.

It is a process of its own. The supervisor may hang, and the lamp has to say so; and the watchdog
has to be fed by somebody who would notice. Should this process die, the hardware restarts the board
unless systemd is quicker.
"""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from gadgetip.appliance.health import Health
from gadgetip.appliance.lamp import PROBLEM_HERE, Light, choose_lamp, lamp_writes, light_of
from gadgetip.appliance.provisioned import CONFIG, MISREAD_HERE
from gadgetip.appliance.trial import Trial
from gadgetip.errors import GadgetipError
from gadgetip.service.asking import ask
from gadgetip.supervisor.address import SERVICE
from gadgetip.supervisor.states import State

INTERVAL_S = 2.0
ANSWER_LIMIT_S = 5.0
"""With the interval less than any watchdog's timeout."""

WATCHDOG_S = 63
"""What the watchdog is told to wait for: long enough for this process to be started again. A
Raspberry Pi's counts to 15 s and is fed by the kernel within longer times; its driver
(bcm2835_wdt) takes them modulo 16, so that it has to be 15 more than a multiple of 16."""
WDIOC_SETTIMEOUT = 0xC0045706
"""include/uapi/linux/watchdog.h: _IOWR('W', 6, int), seconds."""

LEDS = Path("/sys/class/leds")
WATCHDOG = Path("/dev/watchdog")


def watch(
    *,
    wait: Callable[[float], bool],
    say: Callable[[str], None],
    leds: Path = LEDS,
    watchdog: Path = WATCHDOG,
    problem_file: Path = Path(PROBLEM_HERE),
    misread_file: Path = Path(MISREAD_HERE),
    config: Path = Path(CONFIG),
    trial: Trial | None = None,
) -> None:
    """Go on until `wait` returns true; it is given seconds. `say` is told each change of light."""
    lamp, dog = Lamp(leds), Watchdog(watchdog)
    trial = trial or Trial(say)
    if lamp.name is None:
        say("this board has no lamp that is known here, so far")
    if not dog.open:
        say(f"{watchdog} cannot be used, so far: {dog.problem}")
    health = Health(since=time.monotonic())
    states: list[State] | None = None
    shown: Light | None = None
    while True:
        answer = _states()
        states = answer if answer is not None else states
        now = time.monotonic()
        problem = problem_file.exists()
        # The supervisor's unit has the same condition.
        refused = problem and not config.exists() and not misread_file.exists()
        health = health.looked(now, answers=answer is not None, expected=not refused)
        light = light_of(states, problem=problem, silent=health.silent(now))
        # A driver may come later than this: a slow board looks at all its devices for a while.
        if dog.look():
            say(f"{watchdog} is fed from now on")
        if lamp.look() or light is not shown:
            lamp.show(light)
            say(f"lamp: {light}")
            shown = light
        if trial.open and health.settled(now):
            trial.pass_it()
        if health.well(now) and not (trial.open and health.overdue(now)):
            dog.feed()
        elif trial.open and not dog.open:
            trial.fail(now)
        if wait(INTERVAL_S):
            break
    dog.close()


class Lamp:
    """The board's lamp; one that is not there shows nothing, and nothing raises."""

    def __init__(self, leds: Path = LEDS) -> None:
        self.name: str | None = None
        self._leds = leds
        self.look()

    def look(self) -> bool:
        """Whether it has come since it was looked for the last time."""
        if self.name is not None:
            return False
        with contextlib.suppress(OSError):
            self.name = choose_lamp(path.name for path in self._leds.iterdir())
        return self.name is not None

    def show(self, light: Light) -> None:
        """Have the kernel show it."""
        if self.name is None:
            return
        with contextlib.suppress(OSError, ValueError):
            directory = self._leds / self.name
            text = (directory / "trigger").read_text()
            triggers = text.replace("[", " ").replace("]", " ").split()
            brightest = int((directory / "max_brightness").read_text())
            for file, value in lamp_writes(light, triggers, brightest):
                (directory / file).write_text(value)


class Watchdog:
    """The hardware watchdog (Documentation/watchdog/watchdog-api.rst), if this machine has one.

    Its driver may come later, and somebody else may have it still: `look` tries again.
    """

    def __init__(self, path: Path = WATCHDOG) -> None:
        self.problem = ""
        self._path = path
        self._file: int | None = None
        self.look()

    def look(self) -> bool:
        """Whether it can be had since it was looked for the last time."""
        if self._file is not None:
            return False
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            self.problem = error.strerror or str(error)
            return False
        # The initramfs has set a longer one; a driver that knows one only keeps that.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._file, WDIOC_SETTIMEOUT, struct.pack("i", WATCHDOG_S))
        return True

    @property
    def open(self) -> bool:
        """Whether there is one, and it is ours."""
        return self._file is not None

    def feed(self) -> None:
        """Keep it from restarting the machine for another timeout."""
        self._write(b"\0")

    def close(self) -> None:
        """Stop it: the machine goes on without ("magic close")."""
        self._write(b"V")
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.write(self._file, data)


def _states() -> list[State] | None:
    """The states of all attachments; None if the supervisor does not answer."""
    try:
        answer = ask(SERVICE, {"command": "status", "names": []}, ANSWER_LIMIT_S)
        if answer is None:
            return None
        return [State(each["state"]) for each in answer["attachments"]]
    except (GadgetipError, KeyError, TypeError, ValueError):
        return None
