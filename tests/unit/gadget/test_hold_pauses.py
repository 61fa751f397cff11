from dataclasses import replace

from gadgetip.profiles import LinkWishes

from .devices import HS_STICK
from .planning import plan, wishing


def test_a_held_device_is_asked_for_as_the_profile_says() -> None:
    link = LinkWishes(on_loss="hold", hold_s=10, retry_min_s=0.1, retry_max_s=0.4)
    made = plan(HS_STICK, profile=replace(wishing(), link=link))
    assert made.hold is not None
    assert made.hold.wishes.pauses_s(0.2, 2) == (0.1, 0.4)
