"""Any profile that the reader can read, for hypothesis."""

from hypothesis import strategies as st

from gadgetip.matching import Match
from gadgetip.profiles import (
    BACKENDS,
    SHAPERS,
    EndpointWish,
    GadgetWishes,
    IdentityWishes,
    InterfaceWish,
    LinkWishes,
    Profile,
)
from gadgetip.profiles.toml_form import SPEEDS, is_profile_name

printable_text = st.text(min_size=1, max_size=40).filter(str.isprintable)
device_texts = printable_text.filter(lambda text: len(text.encode()) <= 126)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", fullmatch=True).filter(is_profile_name)
bcd = st.integers(0, 9999).map(lambda number: int(str(number), 16))
triples = st.tuples(*[st.integers(0, 255)] * 3)

_patterns = st.builds(
    Match,
    ids=st.lists(st.sampled_from(["0483:5740", "0483:57*", "*:0001"]), max_size=2).map(tuple),
    serials=st.lists(printable_text, max_size=2).map(tuple),
    names=st.lists(printable_text, max_size=2).map(tuple),
    classes=st.lists(st.sampled_from(["08/06/50", "ff/*/*", "0[!8]/*/*"]), max_size=2).map(tuple),
    busids=st.lists(st.sampled_from(["1-1.4", "1-*", "programmer"]), max_size=2).map(tuple),
).filter(lambda match: match != Match())

matches = st.builds(
    lambda match, excluded: Match(
        match.ids, match.serials, match.names, match.classes, match.busids, excluded
    ),
    _patterns,
    st.none() | _patterns,
)

identities = st.builds(
    IdentityWishes,
    manufacturer=st.none() | device_texts,
    product=st.none() | device_texts,
    serialnumber=st.none() | device_texts,
    idVendor=st.none() | st.integers(0, 0xFFFF),
    idProduct=st.none() | st.integers(0, 0xFFFF),
    bcdDevice=st.none() | bcd,
    max_power_ma=st.none() | st.integers(0, 500),
)

gadgets = st.builds(
    GadgetWishes,
    backend=st.sampled_from(BACKENDS),
    udc=st.none() | st.sampled_from(["dummy_udc.0", "20980000.usb"]),
    max_speed=st.none() | st.sampled_from(list(SPEEDS.values())),
    forward_reset=st.booleans(),
    identity=identities,
)

_numbers = st.integers(0, 255)
interfaces = st.one_of(
    st.builds(InterfaceWish, _numbers, st.just(True)),
    st.builds(InterfaceWish, _numbers, st.just(False), st.none() | _numbers, st.none() | triples),
)
endpoints = st.builds(
    lambda wish: wish if wish.address & 0x80 else EndpointWish(*_fields(wish)[:5]),
    st.builds(
        EndpointWish,
        address=st.sampled_from([n | d for n in range(1, 16) for d in (0, 0x80)]),
        shaper=st.sampled_from(SHAPERS),
        window_urbs=st.none() | st.integers(1, 1024),
        transfer_bytes=st.none() | st.integers(1, 1 << 20),
        interval_us=st.none() | st.integers(125, 4096000),
        read_ahead=st.none() | st.booleans(),
    ),
)
_seconds = st.none() | st.floats(0.1, 3600) | st.integers(1, 3600)
links = st.builds(
    LinkWishes,
    on_loss=st.sampled_from(["unplug", "hold"]),
    hold_s=st.integers(1, 86400) | st.floats(0.1, 86400),
    retry_min_s=_seconds,
    retry_max_s=_seconds,
    control_timeout_ms=st.integers(1, 600000),
).filter(
    lambda link: (
        link.retry_min_s is None or link.retry_max_s is None or link.retry_min_s <= link.retry_max_s
    )
)


def profiles() -> st.SearchStrategy[Profile]:
    """Any profile."""
    return st.builds(
        Profile,
        name=names,
        summary=st.just("") | printable_text,
        matches=st.lists(matches, max_size=3).map(tuple),
        gadget=gadgets,
        interfaces=st.lists(interfaces, max_size=3, unique_by=lambda w: w.number).map(tuple),
        endpoints=st.lists(endpoints, max_size=3, unique_by=lambda w: w.address).map(tuple),
        link=links,
    )


def _fields(wish: EndpointWish) -> tuple[int, str, int | None, int | None, int | None]:
    return wish.address, wish.shaper, wish.window_urbs, wish.transfer_bytes, wish.interval_us
