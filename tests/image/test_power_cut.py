"""The power goes while something is written: the next boot attaches, and what was kept is there.

The card comes from test_first_boot.py, whose board is up.
"""

import hashlib
import os
import random
import time
from pathlib import Path

import pytest

from gadgetip.appliance.slots import CONFIRMED, Slot, Slots
from tests.image import places
from tests.image.boot_times import boot_times
from tests.image.desk import BOOT_LIMIT_S, PASSPHRASE, PROBLEM_NAME, WRITE_STATE, Desk
from tests.image.server import STICK, STICK_SERIAL
from tests.image.times import TIMES
from tests.system.waiting import wait_for

MIB = 1 << 20
WHERE = 32 * MIB

WRITE_TO_STICK = f"""
set -- /dev/disk/by-id/usb-*{STICK_SERIAL}*:0
while :; do
    dd if=/dev/urandom of=$1 bs=256K seek={WHERE // (256 << 10)} count=32 oflag=direct status=none
done
"""


def test_while_writing_through_the_replica(desk: Desk) -> None:
    desk.up()
    before = _content(desk.server.stick)
    writing = desk.ask.begin(WRITE_TO_STICK)
    try:
        wait_for(lambda: _content(desk.server.stick) != before, "the stick changes", 120)
        desk.cut()
    finally:
        writing.abandon()

    desk.power_on()
    TIMES.note(
        "from power-on until attached, in seconds of this computer", desk.wait_until_attached()
    )
    desk.wait_until_running()
    for what, seconds in boot_times(desk).lines():
        TIMES.note(what, seconds)
    _save_analysis(desk)


def test_what_was_written_over_the_root_is_forgotten(desk: Desk) -> None:
    assert desk.ask.status("test -e /usr/forgotten -o -e /etc/forgotten") == 1


def test_while_state_is_written(desk: Desk) -> None:
    """Attachments are stopped and started, and other files come and go beside that record."""
    desk.up()
    writing = desk.ask.begin(WRITE_STATE)
    try:
        writing.wait_for("round 2", 240)
        _wait_a_moment()
        desk.cut()
    finally:
        writing.abandon()

    desk.power_on()
    desk.ask("until gadgetip status; do sleep 1; done", limit_s=BOOT_LIMIT_S)
    log = desk.ask("journalctl -b --no-pager -u gadgetip-card -u gadgetip")
    assert "MADE ANEW" not in log
    assert "could not be understood" not in log
    desk.ask(f"gadgetip start {STICK}")
    desk.wait_until_attached()
    desk.wait_until_running()


def test_card_afterwards(desk: Desk) -> None:
    """With the power off, once the board was well: what a PC and the boot loader find."""
    desk.wait_until_confirmed(Slot.A)
    desk.cut()
    assert desk.card.boot_state(0) == desk.card.boot_state(1) == Slots(left_a=CONFIRMED)
    assert desk.card.check_fat().startswith("status 0\n")
    assert PROBLEM_NAME not in desk.card.names()


def test_passphrase_is_nowhere_on_the_card(desk: Desk) -> None:
    if not desk.wireless:
        pytest.skip("this board has no radio")
    assert not desk.powered
    assert b'psk = "moved"' in (desk.card.get("gadgetip.toml") or b"")
    with desk.card.path.open("rb") as card:
        tail = b""
        while block := card.read(1 << 22):
            assert PASSPHRASE.encode() not in tail + block
            tail = block[-len(PASSPHRASE) :]


def _content(stick: Path) -> str:
    with stick.open("rb") as store:
        store.seek(WHERE)
        return hashlib.sha256(store.read(8 * MIB)).hexdigest()


def _wait_a_moment() -> None:
    """A moment that no event names: that is what a power cut is. $GADGETIP_SEED names it again."""
    seed = int(os.environ.get("GADGETIP_SEED") or random.randrange(1 << 32))
    print(f"seed {seed}")
    time.sleep(random.Random(seed).uniform(0, 5))


def _save_analysis(desk: Desk) -> None:
    """What systemd says of the boot, for who wants to make it shorter."""
    found = desk.ask(
        "systemctl is-system-running --wait; systemd-analyze; systemd-analyze blame --no-pager; "
        "systemd-analyze critical-chain --no-pager gadgetip.service; "
        "systemd-analyze plot >/tmp/plot.svg; ps axo pid,etimes,time,rss,args 2>/dev/null; free -m",
        limit_s=600,
    )
    (places.scratch() / "systemd-analyze.txt").write_text(found)
