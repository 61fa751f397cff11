"""An update in place, over ssh: cut in the middle, then whole, then to systems that are broken.

The card comes from the tests before. Its image is in slot A; the newer one goes into B; the broken
ones are written over A, and each time the board comes back to B by itself.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.appliance.slots import CONFIRMED, TRIES, Slot, Slots
from tests.image import variants
from tests.image.card import Card
from tests.image.desk import KERNEL, PROBLEM_NAME, SLOT, U_BOOT, Desk
from tests.image.server import Running
from tests.image.times import TIMES

UPDATE_LIMIT_S = 1800.0
UNWELL_LIMIT_S = 2400.0
"""For a system that starts and does not get well: ten minutes by the rule, and a boot."""


@pytest.fixture(scope="module", autouse=True)
def attached(desk: Desk) -> None:
    """A board that runs what was flashed, with a gadgetip.toml that is right."""
    desk.up()


@pytest.fixture(scope="module")
def newer(desk: Desk) -> Iterator[Path]:
    """A newer image, compressed as images are."""
    made = variants.newer(desk.image, desk.directory / "newer.img")
    packed = desk.exchange / "newer.img.xz"
    with packed.open("wb") as target:
        subprocess.run(["xz", "-1", "-T2", "--stdout", made.path], check=True, stdout=target)
    made.path.unlink()
    yield packed
    packed.unlink()


def test_right_file_again(desk: Desk) -> None:
    """What was told of the wrong one is gone."""
    assert PROBLEM_NAME not in desk.ask("ls /boot/firmware")


def test_board_gets_well(desk: Desk) -> None:
    desk.wait_until_confirmed(Slot.A)
    found = desk.ask.json("gadgetip --json board slots")
    assert found["running"] == found["next"] == "A"
    assert found["confirmed"] is True
    assert found["slots"]["A"]["content"]["version"] == desk.image.manifest["version"]
    assert found["slots"]["B"] == {"tries_left": 0, "content": None}


def test_other_board_is_refused(desk: Desk) -> None:
    """An image for another board changes nothing."""
    wrong = desk.exchange / "wrong.img"
    with wrong.open("wb") as file:
        file.truncate(1 << 20)
    Card(wrong).set_manifest(desk.image.manifest | {"board": "toaster"})
    done = begin_update(desk, wrong).end(UPDATE_LIMIT_S)
    wrong.unlink()
    assert done.status == 1
    assert "toaster" in done.text
    assert desk.card.boot_state() == Slots(Slot.A, CONFIRMED, 0)


def test_cut_in_the_middle(desk: Desk, newer: Path) -> None:
    """The power goes while the other slot is written: what ran boots again."""
    writing = begin_update(desk, newer)
    try:
        writing.wait_for("writing slot B: 50 %", UPDATE_LIMIT_S)
        desk.cut()
    finally:
        writing.abandon()
    assert desk.card.boot_state(0) == desk.card.boot_state(1) == Slots(Slot.A, CONFIRMED, 0)
    desk.power_on()
    desk.wait_until_attached()
    assert running_slot(desk) == "A"
    assert desk.ask.json("gadgetip --json board slots")["slots"]["B"]["content"] is None


def test_update(desk: Desk, newer: Path) -> None:
    """The whole update; the newer system is tried, found well, and stays."""
    desk.wait_until_confirmed(Slot.A)
    before = desk.board.seconds
    done = begin_update(desk, newer).end(UPDATE_LIMIT_S)
    assert done.status == 0, done.text
    assert variants.VERSION in done.text
    TIMES.note("an update over ssh, written and read back", desk.board.seconds - before)
    assert desk.card.boot_state(0) == desk.card.boot_state(1) == Slots(Slot.B, CONFIRMED, TRIES)

    began = reboot(desk, "B")
    desk.wait_until_attached()
    assert version(desk) == variants.VERSION
    desk.wait_until_confirmed(Slot.B)
    seconds = desk.board.seconds - began
    TIMES.note("from the restart until the newer system is found well", seconds)
    found = desk.ask.json("gadgetip --json board slots")
    assert found["running"] == found["next"] == "B"
    assert found["slots"]["B"]["content"]["version"] == variants.VERSION
    assert found["slots"]["A"]["content"]["version"] == desk.image.manifest["version"]


def test_rollback(desk: Desk) -> None:
    """To the system before, and to the newer one again."""
    for slot in (Slot.A, Slot.B):
        said = desk.ask("gadgetip board rollback")
        assert f"slot {slot}" in said
        reboot(desk, slot)
        desk.wait_until_attached()
        assert running_slot(desk) == slot
        desk.wait_until_confirmed(slot)


def test_kernel_that_is_none(desk: Desk) -> None:
    """U-Boot takes the other slot at once."""
    update_to(desk, variants.no_kernel(desk.image, desk.exchange / "no-kernel.img"), "99.4")
    began = reboot(desk, "A")
    desk.console.wait_for("gadgetip: slot A does not boot", 60, began)
    comes_back(desk, began)


def test_system_without_a_first_process(desk: Desk) -> None:
    """The kernel gives up, three times; then the other slot has its turn."""
    update_to(desk, variants.no_init(desk.image, desk.exchange / "no-init.img"), "99.3")
    began = reboot(desk, "A")
    for _ in range(TRIES):
        line = desk.console.wait_for(SLOT, 300, began)
        assert "slot A" in line.text
        began = desk.console.wait_for(U_BOOT, 300, line.at + 0.001).at
    comes_back(desk, began)


def test_system_that_does_not_get_well(desk: Desk) -> None:
    """Its supervisor never answers: the board restarts itself, and ends with the other one.

    The last of three tries is enough for the test: each takes more than ten minutes.
    """
    update_to(desk, variants.mute(desk.image, desk.exchange / "mute.img"), "99.2")
    desk.cut()
    desk.card.set_boot_state(Slots(Slot.A, 1, CONFIRMED))
    desk.power_on()
    desk.console.wait_for("gadgetip: booting slot A", 120)
    assert version(desk) == "99.2"
    again = desk.console.wait_for(U_BOOT, UNWELL_LIMIT_S, desk.board.seconds)
    TIMES.note("from power-on until a system that does not get well is given up", again.at)
    desk.log_out()
    comes_back(desk, again.at)


def begin_update(desk: Desk, image: Path) -> Running:
    """Stream an image to the board, as `gadgetip --on` does."""
    assert image.parent == desk.exchange
    line = f"{desk.ask.line('gadgetip board update -')} <{image}"
    return desk.server.begin("sh", "-c", line)


def update_to(desk: Desk, image: Card, name: str) -> None:
    """Write an image, which the board takes for a good one."""
    desk.up()
    desk.wait_until_confirmed(Slot.B)
    done = begin_update(desk, image.path).end(UPDATE_LIMIT_S)
    image.path.unlink()
    assert done.status == 0, done.text
    assert name in done.text
    assert desk.card.boot_state() == Slots(Slot.A, TRIES, CONFIRMED)


def reboot(desk: Desk, slot: str) -> float:
    """Restart the board as a person does; it chooses this slot. Returns when U-Boot spoke."""
    began = desk.board.seconds
    desk.ask.status("systemctl reboot")
    desk.log_out()
    began = desk.console.wait_for(U_BOOT, 300, began).at
    assert f"slot {slot}" in desk.console.wait_for(SLOT, 60, began).text
    return began


def comes_back(desk: Desk, since: float) -> None:
    """The system in slot B is started, attaches, says what happened, and is the preferred one."""
    desk.console.wait_for("gadgetip: booting slot B", 300, since)
    desk.console.wait_for(KERNEL, 60, since)
    desk.wait_until_attached()
    assert running_slot(desk) == "B"
    assert version(desk) == variants.VERSION
    desk.wait_until_confirmed(Slot.B)


def running_slot(desk: Desk) -> str:
    """As the kernel was told."""
    return desk.ask("sed 's/.*gadgetip.slot=\\(.\\).*/\\1/' /proc/cmdline").strip()


def version(desk: Desk) -> str:
    """Of the root file system."""
    return str(desk.ask.json("cat /etc/gadgetip/image")["version"])
