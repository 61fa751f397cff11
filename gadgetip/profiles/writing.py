"""A profile as the text of its file: what the reader (`toml_form`) reads back as the same profile.

Only what is not automatic is written. Values come as pairs of a key and its TOML, table by table,
so that whoever writes more than the bare profile (`profile suggest`) can put comments between them.
"""

import json
from collections.abc import Iterable, Iterator

from gadgetip.matching import Match
from gadgetip.profiles.profile import (
    GENERIC,
    EndpointWish,
    GadgetWishes,
    IdentityWishes,
    InterfaceWish,
    LinkWishes,
    Profile,
)
from gadgetip.profiles.toml_form import SCHEMA
from gadgetip.usb import class_code

Pairs = list[tuple[str, str]]
"""Keys and their values, as TOML writes them, in the order of the documentation."""

SCHEMA_LINE = f'schema = "{SCHEMA}"'


def profile_text(profile: Profile) -> str:
    """The file of this profile."""
    blocks = [[SCHEMA_LINE, *assignments(head_pairs(profile))]]
    blocks += [["[[match]]", *assignments(match_pairs(match))] for match in profile.matches]
    blocks += [
        [header, *assignments(pairs)]
        for header, pairs in (
            ("[gadget]", gadget_pairs(profile.gadget)),
            ("[gadget.identity]", identity_pairs(profile.gadget.identity)),
            *(("[[interface]]", interface_pairs(wish)) for wish in profile.interfaces),
            *(("[[endpoint]]", endpoint_pairs(wish)) for wish in profile.endpoints),
            ("[link]", link_pairs(profile.link)),
        )
        if pairs
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def assignments(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A line for each key."""
    return (f"{key} = {value}" for key, value in pairs)


def toml_text(text: str) -> str:
    """A basic string (TOML 1.0): JSON's, but that DEL has to be escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def head_pairs(profile: Profile) -> Pairs:
    """`name` and `summary`."""
    pairs = [("name", toml_text(profile.name))]
    return [*pairs, ("summary", toml_text(profile.summary))] if profile.summary else pairs


def match_pairs(match: Match) -> Pairs:
    """One table of `match`."""
    pairs = [
        (key, _texts(texts))
        for key, texts in (
            ("id", match.ids),
            ("serial", match.serials),
            ("name", match.names),
            ("class", match.classes),
            ("busid", match.busids),
        )
        if texts
    ]
    if match.excluded is not None:
        pairs.append(("not", "{ " + ", ".join(assignments(match_pairs(match.excluded))) + " }"))
    return pairs


def gadget_pairs(wishes: GadgetWishes) -> Pairs:
    """`[gadget]`, without its identity."""
    default = GENERIC.gadget
    pairs: Pairs = []
    if wishes.backend != default.backend:
        pairs.append(("backend", toml_text(wishes.backend)))
    if wishes.udc is not None:
        pairs.append(("udc", toml_text(wishes.udc)))
    if wishes.max_speed is not None:
        pairs.append(("max_speed", toml_text(wishes.max_speed.kernel_name)))
    if wishes.forward_reset != default.forward_reset:
        pairs.append(("forward_reset", _flag(wishes.forward_reset)))
    return pairs


def identity_pairs(wishes: IdentityWishes) -> Pairs:
    """`[gadget.identity]`."""
    texts = [(key, getattr(wishes, key)) for key in ("manufacturer", "product", "serialnumber")]
    ids = [(key, getattr(wishes, key)) for key in ("idVendor", "idProduct", "bcdDevice")]
    pairs = [(key, toml_text(text)) for key, text in texts if text is not None]
    pairs += [(key, f"0x{number:04x}") for key, number in ids if number is not None]
    if wishes.max_power_ma is not None:
        pairs.append(("max_power_ma", str(wishes.max_power_ma)))
    return pairs


def interface_pairs(wish: InterfaceWish) -> Pairs:
    """One `[[interface]]`."""
    pairs = [("number", str(wish.number))]
    if wish.drop:
        pairs.append(("drop", "true"))
    if wish.alternate_setting is not None:
        pairs.append(("alternate_setting", str(wish.alternate_setting)))
    if wish.class_triple is not None:
        pairs.append(("class", toml_text(class_code(*wish.class_triple))))
    return pairs


def endpoint_pairs(wish: EndpointWish) -> Pairs:
    """One `[[endpoint]]`."""
    pairs = [("address", f"0x{wish.address:02x}")]
    if wish.shaper != EndpointWish(wish.address).shaper:
        pairs.append(("shaper", toml_text(wish.shaper)))
    sizes = [(key, getattr(wish, key)) for key in ("window_urbs", "transfer_bytes", "interval_us")]
    pairs += [(key, str(number)) for key, number in sizes if number is not None]
    if wish.read_ahead is not None:
        pairs.append(("read_ahead", _flag(wish.read_ahead)))
    return pairs


def link_pairs(wishes: LinkWishes) -> Pairs:
    """`[link]`."""
    default = GENERIC.link
    pairs: Pairs = []
    if wishes.on_loss != default.on_loss:
        pairs.append(("on_loss", toml_text(wishes.on_loss)))
    for key in ("hold_s", "retry_min_s", "retry_max_s", "control_timeout_ms"):
        if (number := getattr(wishes, key)) != getattr(default, key):
            pairs.append((key, repr(number)))
    return pairs


def _texts(texts: tuple[str, ...]) -> str:
    if len(texts) == 1:
        return toml_text(texts[0])
    return "[" + ", ".join(map(toml_text, texts)) + "]"


def _flag(value: bool) -> str:
    return "true" if value else "false"
