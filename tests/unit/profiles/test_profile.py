import pytest

from gadgetip.gadget import BACKENDS
from gadgetip.profiles import BACKENDS as NAMED_BACKENDS
from gadgetip.profiles import GENERIC, SHAPERS, EndpointWish, InterfaceWish, LinkWishes, Profile
from gadgetip.pump import Shaping


def test_the_generic_profile_wishes_for_nothing() -> None:
    assert Profile("generic", GENERIC.summary) == GENERIC
    assert GENERIC.gadget.backend == "auto"
    assert GENERIC.gadget.max_speed is None
    assert GENERIC.gadget.forward_reset
    assert GENERIC.link.on_loss == "unplug"
    assert GENERIC.interface(0) is None
    assert GENERIC.endpoint(0x81) is None


def test_wishes_are_found_by_the_devices_own_numbers() -> None:
    profile = Profile(
        "x",
        interfaces=(InterfaceWish(3, drop=True), InterfaceWish(1)),
        endpoints=(EndpointWish(0x02, shaper="short"), EndpointWish(0x82)),
    )
    assert profile.interface(3) == InterfaceWish(3, drop=True)
    assert profile.interface(2) is None
    assert profile.endpoint(0x02) == EndpointWish(0x02, shaper="short")
    assert profile.endpoint(0x01) is None


@pytest.mark.parametrize(
    ("low", "high", "pauses"),
    [
        (None, None, (0.5, 30)),
        (1, None, (1, 30)),
        (60, None, (60, 60)),
        (None, 5, (0.5, 5)),
        (None, 0.2, (0.2, 0.2)),
        (1, 2, (1, 2)),
    ],
)
def test_the_pauses_between_two_attempts(
    low: float | None, high: float | None, pauses: tuple[float, float]
) -> None:
    assert LinkWishes(retry_min_s=low, retry_max_s=high).pauses_s(0.5, 30) == pauses


def test_profiles_are_values() -> None:
    assert len({GENERIC, Profile("generic", GENERIC.summary), Profile("other")}) == 2


def test_what_there_is_can_be_named() -> None:
    assert set(BACKENDS) <= set(NAMED_BACKENDS)
    assert {str(shaping) for shaping in Shaping} <= set(SHAPERS)
