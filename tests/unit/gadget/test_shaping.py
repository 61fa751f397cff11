"""Which shaper, how wide, and what a profile may change of it."""

import pytest

from gadgetip.gadget import Severity
from gadgetip.gadget.udc_models import DUMMY_HCD, MUSB_AM335X, USBIP_VUDC
from gadgetip.profiles import EndpointWish
from gadgetip.pump import EndpointRoute, Shaping
from gadgetip.usb import DeviceTree, Speed

from .devices import FS_STICK, HS_STICK, UAS_STICK, configuration, device, endpoint, interface
from .planning import STOCK, gadgetfs, only, plan, texts, wishing

STORAGE = (8, 6, 0x50)


@pytest.mark.parametrize(
    ("triple", "endpoints", "expected"),
    [
        (STORAGE, [(0x81, 2), (0x02, 2)], ["bot", "bot"]),
        (STORAGE, [(0x81, 2), (0x02, 2), (0x83, 3)], ["bot", "bot", "interrupt"]),
        (STORAGE, [(0x81, 2)], ["packet"]),  # half a pair is none
        (STORAGE, [(0x81, 2), (0x82, 2), (0x02, 2)], ["packet"] * 3),
        ((8, 6, 0x62), [(0x81, 2), (0x02, 2)], ["packet", "packet"]),  # UAS, pipes not named
        ((8, 4, 0), [(0x81, 2), (0x02, 2), (0x83, 3)], ["packet", "packet", "interrupt"]),  # CBI
        ((0xFF, 6, 0x50), [(0x81, 2), (0x02, 2)], ["packet", "packet"]),
        ((6, 1, 1), [(0x81, 2), (0x02, 2), (0x83, 3)], ["packet", "packet", "interrupt"]),
    ],
)
def test_shapers_by_class_and_endpoint(
    triple: tuple[int, int, int], endpoints: list[tuple[int, int]], expected: list[str]
) -> None:
    tree = device(
        configuration(
            interface(0, len(endpoints), triple),
            *(endpoint(address, kind, 512 if kind == 2 else 64, 4) for address, kind in endpoints),
        )
    )
    routes = only(plan(tree, USBIP_VUDC)).routes[Speed.HIGH]
    assert [route.shaping.value for route in routes] == expected


def test_uas_has_four_pipes() -> None:
    made = gadgetfs(UAS_STICK)
    assert made.refusals  # 1024 bytes a packet at the device, 512 at the host
    routes = {(r.alternate, r.address): r for r in only(made).routes[Speed.HIGH]}
    assert {key: route.pipe for key, route in routes.items()} == {
        (0, 0x81): 0,
        (0, 0x02): 0,
        (1, 0x81): 3,
        (1, 0x02): 4,
        (1, 0x83): 2,
        (1, 0x04): 1,
    }
    assert {r.shaping for (alternate, _), r in routes.items() if alternate} == {Shaping.UAS}
    assert {r.shaping for (alternate, _), r in routes.items() if not alternate} == {Shaping.BOT}


def uas(pipes: tuple[int, ...] = (3, 4, 2, 1)) -> DeviceTree:
    """A high-speed UAS disk, bulk-only in its default setting."""
    parts = [interface(0, 2, STORAGE), endpoint(0x81), endpoint(0x02)]
    parts.append(interface(0, 4, (8, 6, 0x62), alternate=1))
    for address, pipe in zip((0x81, 0x02, 0x83, 0x04), pipes, strict=True):
        parts += [endpoint(address), bytes((4, 0x24, pipe, 0))]
    return device(configuration(*parts))


def test_uas_at_high_speed_goes_through_gadgetfs_as_it_is() -> None:
    made = plan(uas())
    assert (made.backend, made.speed, made.refusals) == ("gadgetfs", Speed.HIGH, ())
    routes = [route for route in only(made).routes[Speed.HIGH] if route.alternate]
    assert {route.shaping for route in routes} == {Shaping.UAS}
    assert [route.pipe for route in routes] == [3, 4, 2, 1]


def test_pipes_that_are_named_twice_are_no_uas() -> None:
    routes = only(plan(uas((3, 4, 2, 2)), backends=STOCK[1:])).routes[Speed.HIGH]
    assert {route.shaping for route in routes if route.alternate} == {Shaping.PACKET}


@pytest.mark.parametrize(("triple", "shaper"), [((6, 1, 1), "short"), ((0xFE, 3, 1), "short")])
def test_classes_whose_transfers_end_short_may_change_the_packet(
    triple: tuple[int, int, int], shaper: str
) -> None:
    parts = [interface(0, 2, triple), endpoint(0x81, 2, 64), endpoint(0x02, 2, 64)]
    tree = device(configuration(*parts), speed=Speed.FULL)
    made = plan(tree, MUSB_AM335X)
    assert made.refusals == ()
    assert {route.shaping.value for route in only(made).routes[Speed.HIGH]} == {shaper}
    assert {r.shaping for r in only(plan(tree)).routes[Speed.FULL]} == {Shaping.PACKET}


# --- the profile ----------------------------------------------------------------------------


def route(wish: EndpointWish, tree: DeviceTree = HS_STICK) -> EndpointRoute:
    made = plan(tree, DUMMY_HCD, profile=wishing(endpoints=(wish,)))
    (found,) = [r for r in only(made).routes[made.speed] if r.address == wish.address]
    return found


@pytest.mark.parametrize("shaper", ["packet", "short", "bot", "interrupt", "uas"])
def test_a_shaper_may_be_chosen(shaper: str) -> None:
    assert route(EndpointWish(0x81, shaper=shaper)).shaping.value == shaper


@pytest.mark.parametrize("shaper", ["packet", "short"])
def test_a_shaper_of_one_endpoint_can_be_had(shaper: str) -> None:
    tree = device(configuration(interface(0, 2), endpoint(0x81), endpoint(0x02)))
    wish = EndpointWish(0x81, shaper=shaper)
    assert plan(tree, profile=wishing(endpoints=(wish,))).refusals == ()


def test_the_other_endpoints_are_left_alone() -> None:
    made = plan(HS_STICK, profile=wishing(endpoints=(EndpointWish(0x81, shaper="packet"),)))
    assert only(made).routes[Speed.HIGH][1] == only(plan(HS_STICK)).routes[Speed.HIGH][1]


def test_a_window() -> None:
    assert route(EndpointWish(0x81)) == only(plan(HS_STICK)).routes[Speed.HIGH][0]
    assert route(EndpointWish(0x81, window_urbs=3)).window_urbs == 3


@pytest.mark.parametrize(("wanted", "got"), [(512, 512), (1, 512), (1000, 512), (16384, 16384)])
def test_transfers_are_whole_packets(wanted: int, got: int) -> None:
    assert route(EndpointWish(0x81, transfer_bytes=wanted)).transfer_bytes == got


@pytest.mark.parametrize("wanted", [True, False, None])
def test_reading_ahead(wanted: bool | None) -> None:
    assert route(EndpointWish(0x81, read_ahead=wanted)).read_ahead is (wanted is not False)


@pytest.mark.parametrize(
    ("speed", "microseconds", "interval"),
    [(Speed.FULL, 4000, 4), (Speed.FULL, 125, 1), (Speed.HIGH, 1000, 8), (Speed.HIGH, 125, 1)],
)
def test_an_interval_is_counted_in_frames_of_the_device(
    speed: Speed, microseconds: int, interval: int
) -> None:
    tree = device(configuration(interface(0, 1), endpoint(0x81, 3, 8, 4)), speed=speed)
    assert route(EndpointWish(0x81, interval_us=microseconds), tree).interval == interval
    assert route(EndpointWish(0x81, interval_us=microseconds)).interval == 0  # bulk has none


def test_a_chosen_shaper_that_knows_transfers_lifts_the_refusal() -> None:
    parts = [interface(0, 1), endpoint(0x81, 2, 64)]
    tree = device(configuration(*parts), speed=Speed.FULL)
    assert plan(tree, MUSB_AM335X).refusals
    wish = EndpointWish(0x81, shaper="short")
    assert plan(tree, MUSB_AM335X, profile=wishing(endpoints=(wish,))).refusals == ()


def test_a_chosen_packet_shaper_on_packets_of_another_size_is_refused() -> None:
    wish = EndpointWish(0x81, shaper="packet")
    made = plan(FS_STICK, MUSB_AM335X, profile=wishing(endpoints=(wish,)))
    sizes, pair = texts(made, Severity.REFUSED)[::-1]
    assert sizes.startswith("endpoint 0x81: its packets are 64 bytes at the device and 512")
    assert pair.startswith("endpoint 0x02: the shaper bot cannot be had")  # half a pair is none
