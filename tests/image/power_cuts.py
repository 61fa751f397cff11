"""`python -m tests.image.power_cuts`: power cuts at random moments, and does the board attach?

Each round powers a board on, takes the power away at a moment between power-on and a while after
the host has seen the replicas, and powers it on again: within the limit it has to see them, with
nobody's help. That boot ends in a power cut, too. While a board runs, its state is written all the
time: an attachment is stopped and started, and other files beside that record come and go. If the
cut came while it was stopped, it has to be stopped still, and is started by hand; the line says so.

The moments come from a seed, which is printed; the same seed gives the same moments.
"""

import argparse
import random
import re
import secrets
import sys
import time

from tests.image import places
from tests.image.desk import BOOT_LIMIT_S, KERNEL, SLOT, U_BOOT, WRITE_STATE, Desk
from tests.image.server import STICK
from tests.machine.errors import BenchError

AFTERWARDS_S = 30.0
"""Moments go on so long after the replicas are seen."""

STATE = "state is written"
PHASES = (
    (U_BOOT, "U-Boot"),
    (SLOT, "a slot is chosen, its kernel loaded"),
    (KERNEL, "the kernel runs"),
)


def main() -> int:
    """Cut; the status says whether every board came back."""
    parser = argparse.ArgumentParser(prog="python -m tests.image.power_cuts", description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    given = parser.parse_args()
    say(f"seed {given.seed}")
    try:
        desk = Desk(places.board(), places.scratch() / "power-cuts")
    except BenchError as error:
        say(str(error))
        return 1
    try:
        return cut_often(desk, given.cuts, random.Random(given.seed))
    finally:
        desk.close()


def cut_often(desk: Desk, cuts: int, chance: random.Random) -> int:
    """Boot once in peace, then so many rounds."""
    desk.write_config()
    desk.server.export()
    desk.power_on()
    whole = desk.wait_until_attached()
    last = whole + AFTERWARDS_S
    say(f"attached {whole:.0f} s after power-on; moments are between 0 and {last:.0f} s")
    desk.cut()
    came_back: list[float] = []
    for number in range(1, cuts + 1):
        moment = chance.uniform(0, last)
        phase = cut_at(desk, moment)
        desk.power_on()
        try:
            seconds, helped = come_back(desk, may_be_stopped=phase == STATE)
        except AssertionError as error:
            say(f"cut {number} at {moment:.1f} s ({phase}): DID NOT COME BACK: {error}")
            return 1
        came_back.append(seconds)
        helped_by = ", once started: it was stopped" if helped else ""
        say(
            f"cut {number} at {moment:.1f} s ({phase}): "
            f"attached {seconds:.0f} s after power-on{helped_by}"
        )
        desk.cut()
    say(f"{cuts} cuts, attached each time, {min(came_back):.0f} to {max(came_back):.0f} s after")
    return 0


def cut_at(desk: Desk, moment: float) -> str:
    """A boot that lasts so many seconds; returns how far it came."""
    board = desk.power_on()
    writing = desk.server.begin(
        "sh", "-c", f"until {desk.log_in_for(WRITE_STATE)}; do sleep 1; done"
    )
    # The one thing here that no event names.
    time.sleep(max(0.0, moment - board.seconds))
    phase = phase_of(desk.console.text, writing.text)
    desk.cut()
    writing.abandon()
    return phase


def come_back(desk: Desk, *, may_be_stopped: bool) -> tuple[float, bool]:
    """Seconds from power-on until the replicas are seen, and whether one had to be started."""
    desk.ask("until gadgetip status; do sleep 1; done", limit_s=BOOT_LIMIT_S)
    found = desk.ask.json("gadgetip --json status")["attachments"]
    stopped = "stopped" in [each["state"] for each in found if each["name"] == STICK]
    if stopped:
        assert may_be_stopped, "nobody stopped the stick"
        desk.ask(f"gadgetip start {STICK}")
    return desk.wait_until_attached(), stopped


def phase_of(console: str, written: str) -> str:
    """How far a boot came, by what it said."""
    if "round" in written:
        return STATE
    found = "firmware"
    for line, phase in PHASES:
        if re.search(line, console, re.MULTILINE):
            found = phase
    return found


def say(text: str) -> None:
    """A line of the report, at once."""
    print(f"power-cuts: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
