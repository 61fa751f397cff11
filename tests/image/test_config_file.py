"""A gadgetip.toml with a mistake in it: told on the card and the console; the last one goes on.

The card comes from the tests before, which have booted it with a right one.
"""

from tests.image.desk import BOOT_LIMIT_S, CONFIG_NAME, PROBLEM_NAME, Desk
from tests.image.times import TIMES
from tests.system.waiting import wait_for


def test_mistake_on_a_card_that_ran(desk: Desk) -> None:
    desk.cut()
    right = (desk.card.get(CONFIG_NAME) or b"").decode()
    desk.write_config(right.replace('server = "', 'sever = "', 1))
    desk.server.export()
    desk.power_on()
    line = desk.console.wait_for(rf"{CONFIG_NAME} cannot be used", BOOT_LIMIT_S)
    TIMES.note("from power-on until the console tells of a mistake", line.at)
    desk.console.wait_for("sever", 10, line.at)
    desk.wait_until_attached()
    desk.wait_until_running()
    desk.cut()

    told = (desk.card.get(PROBLEM_NAME) or b"").decode()
    assert "sever" in told
    assert "server" in told
    assert "goes on with the last" in told
    assert desk.card.check_fat().startswith("status 0\n")
    desk.write_config(right)


def test_card_as_it_was_flashed(desk: Desk) -> None:
    """Nobody has written anything into gadgetip.toml: that is said kindly, too."""
    used, desk.card = desk.card, desk.image.copy(desk.directory / "flashed.img")
    try:
        desk.power_on()
        desk.console.wait_for("Name a device", BOOT_LIMIT_S)
        wait_for(lambda: desk.card.get(PROBLEM_NAME), "the card tells it, too", 120)
        desk.cut()
        told = (desk.card.get(PROBLEM_NAME) or b"").decode()
        assert "attachment" in told
    finally:
        desk.cut()
        desk.card = used
