"""What an image says of itself is believed only as far as it makes sense."""

import itertools
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.image import card as built
from gadgetip.appliance.boot_state import STATE_OFFSETS
from gadgetip.appliance.image_manifest import (
    END_OF_RECORDS,
    LARGEST_OFFSET,
    LARGEST_SIZE,
    NOTHING,
    OFFSET,
    RECORD_OFFSETS,
    SIZE,
    About,
    Manifest,
    NotAnImageError,
    format_about,
    format_manifest,
    has_wireless,
    parse_about,
    parse_manifest,
    slot_content,
)
from gadgetip.appliance.slots import Slot

from .images import NEW, OLD, content_of, manifest_of

GOOD = manifest_of(content_of(1, 512))
SHA = "0" * 64
manifests = st.builds(
    Manifest,
    st.builds(
        About,
        st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True),
        st.from_regex(r"[0-9][0-9A-Za-z.+~-]{0,39}", fullmatch=True).filter(str.isascii),
        st.just("2026-11-30T00:00:00Z"),
    ),
    st.integers(END_OF_RECORDS // 512, LARGEST_OFFSET // 512).map(lambda n: n * 512),
    st.integers(1, LARGEST_SIZE // 512).map(lambda n: n * 512),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)


def document(**changes: Any) -> bytes:
    """The good one, changed; None leaves a key out. `offset` and the like go into its slot."""
    whole = json.loads(format_manifest(GOOD).rstrip(b"\0"))
    for key, value in changes.items():
        where = whole["slot"] if key in {"offset", "size", "sha256"} else whole
        where[key] = value
        if value is None:
            del where[key]
    return json.dumps(whole).encode()


@given(manifests)
def test_there_and_back(manifest: Manifest) -> None:
    block = format_manifest(manifest)
    assert len(block) == SIZE
    assert parse_manifest(block) == manifest


def test_it_is_what_the_builder_writes() -> None:
    about = About("pi-zero-w", "0.1.0", "2026-11-30T00:00:00Z")
    first = built.first_sectors(1, built.manifest(about, 1 << 20, SHA))
    assert parse_manifest(first[OFFSET]) == Manifest(about, built.SLOT_A.start, 1 << 20, SHA)
    for wireless in (True, False):
        marker = format_about(about, wireless=wireless)
        assert parse_about(marker) == about
        assert has_wireless(marker) is wireless


def test_nothing_on_a_card_lies_over_another() -> None:
    taken = [(each, 512) for each in STATE_OFFSETS]
    taken += [(OFFSET, SIZE), *((each, SIZE) for each in RECORD_OFFSETS.values())]
    taken.append((built.BOOT.start, built.BOOT.size))
    taken.sort()
    assert taken[0][0] >= 512
    for (start, size), (following, _) in itertools.pairwise(taken):
        assert start + size <= following


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "image/2"},
        {"schema": None},
        {"board": None},
        {"board": 7},
        {"board": "../etc"},
        {"board": "Pi"},
        {"board": "x" * 41},
        {"version": ""},
        {"version": "0.1\n0"},
        {"version": "0.1\x1b[31m"},
        {"version": ["0.1.0"]},
        {"built": "yesterday"},
        {"built": "2026-11-30T00:00:00Z\n"},
        {"slot": None},
        {"slot": []},
        {"offset": None},
        {"offset": 0},
        {"offset": -512},
        {"offset": OFFSET},
        {"offset": END_OF_RECORDS + 1},
        {"offset": LARGEST_OFFSET + 512},
        {"offset": float(1 << 20)},
        {"offset": True},
        {"offset": str(1 << 20)},
        {"size": 0},
        {"size": -512},
        {"size": 513},
        {"size": 10**30},
        {"size": LARGEST_SIZE + 512},
        {"size": float("nan")},
        {"size": float("inf")},
        {"size": {}},
        {"sha256": "0" * 63},
        {"sha256": "A" * 64},
        {"sha256": "0" * 64 + "\n"},
        {"sha256": 0},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    assert parse_manifest(document()) == GOOD
    with pytest.raises(NotAnImageError) as caught:
        parse_manifest(document(**changes))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "block",
    [
        b"",
        bytes(SIZE),
        b"\xff" * SIZE,
        b"[" * SIZE,
        b'{"a":' * (SIZE // 5),
        b"9" * SIZE,
        b"null",
        b'"image/1"',
        document()[:-1],
        document() + b"}",
        "{}".encode("utf-16"),
    ],
)
def test_what_is_no_manifest_at_all(block: bytes) -> None:
    with pytest.raises(NotAnImageError):
        parse_manifest(block)


@given(st.binary(max_size=200))
def test_any_bytes(block: bytes) -> None:
    with pytest.raises(NotAnImageError):
        parse_manifest(block)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = ["schema", "board", "version", "built", "slot", "offset", "size", "sha256"]


@given(st.sampled_from(KEYS), json_values)
def test_any_value_in_any_place(key: str, value: object) -> None:
    try:
        found = parse_manifest(document(**{key: value}))
    except NotAnImageError:
        return
    assert END_OF_RECORDS <= found.offset <= LARGEST_OFFSET
    assert 0 < found.size <= LARGEST_SIZE


def test_what_a_running_image_is() -> None:
    text = json.dumps({"schema": "image/1"} | asdict(OLD))
    assert parse_about(text) == OLD
    with pytest.raises(NotAnImageError):
        parse_about("")


def test_what_is_in_a_slot() -> None:
    flashed = format_manifest(manifest_of(content_of(1), OLD))
    later = format_manifest(manifest_of(content_of(2), NEW))
    new = bytes(SIZE)
    assert slot_content(new, flashed, Slot.A) == parse_manifest(flashed)
    assert slot_content(new, flashed, Slot.B) is None
    assert slot_content(later, flashed, Slot.A) == parse_manifest(later)
    assert slot_content(later, flashed, Slot.B) == parse_manifest(later)
    assert slot_content(NOTHING, flashed, Slot.A) is None
    assert slot_content(b"\xff" * SIZE, flashed, Slot.A) is None
