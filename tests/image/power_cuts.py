"""`python -m tests.image.power_cuts`: power cuts at random moments, and does the board attach?

Each round powers a board on, takes the power away at a moment between power-on and a while after
the host has seen the replicas, and powers it on again: within the limit it has to see them. That
boot ends in a power cut, too. While a board runs, its state is written all the time: an attachment
is stopped and started, and other files beside that record come and go.

The moments come from a seed, which is printed; the same seed gives the same moments.
"""

import argparse
import random
import re
import secrets
import sys
import time

from tests.image import places
from tests.image.desk import ATTACH_LIMIT_S, KERNEL, SLOT, U_BOOT, Desk
from tests.image.server import STICK
from tests.machine.errors import BenchError

AFTERWARDS_S = 30.0
"""Moments go on so long after the replicas are seen."""

WRITE_STATE = f"""
cd /var/lib/gadgetip
(while :; do dd if=/dev/urandom of=noise.new bs=64K count=8 status=none
    mv noise.new noise; sync -f .; done) &
while :; do gadgetip stop {STICK}; gadgetip start {STICK}; echo round; done
"""

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
            seconds = come_back(desk)
        except AssertionError as error:
            say(f"cut {number} at {moment:.1f} s ({phase}): DID NOT COME BACK: {error}")
            return 1
        came_back.append(seconds)
        say(f"cut {number} at {moment:.1f} s ({phase}): attached {seconds:.0f} s after power-on")
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


def come_back(desk: Desk) -> float:
    """Seconds from power-on until the replicas are seen; what was stopped is started before."""
    desk.ask("until gadgetip start --all; do sleep 1; done", limit_s=ATTACH_LIMIT_S)
    return desk.wait_until_attached()


def phase_of(console: str, written: str) -> str:
    """How far a boot came, by what it said."""
    if "round" in written:
        return "state is written"
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
