"""Images come as files and pipes, packed or not, whole or cut off."""

import io
import lzma
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.image_manifest import NotAnImageError
from gadgetip.appliance.unpacking import PIECE, Unpacker

TEXT = random.Random(3).randbytes(3000) * 3


def everything(source: Callable[[int], bytes], limit: int = PIECE) -> bytes:
    unpacker = Unpacker(source)
    pieces = []
    while piece := unpacker.read(limit):
        assert len(piece) <= limit
        pieces.append(piece)
    assert unpacker.read(limit) == b""
    assert unpacker.offset == sum(map(len, pieces))
    return b"".join(pieces)


def dripping(data: bytes, size: int) -> Callable[[int], bytes]:
    """As a pipe: what there is, which may be less than was asked for."""
    file = io.BytesIO(data)
    return lambda limit: file.read(min(size, limit))


@given(st.binary(max_size=2000), st.integers(1, 700), st.integers(1, 700), st.booleans())
def test_any_content_in_any_pieces(data: bytes, drip: int, limit: int, packed: bool) -> None:
    packed = packed or data.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\x28\xb5\x2f\xfd"))
    source = dripping(lzma.compress(data) if packed else data, drip)
    assert everything(source, limit) == data


def test_streams_one_after_the_other() -> None:
    """As `pixz` and `cat a.xz b.xz` make them, with padding."""
    one, two = lzma.compress(TEXT), lzma.compress(b"")
    assert everything(dripping(one + bytes(8) + two + one + bytes(4), 100)) == TEXT * 2


def test_the_strongest_packing_is_unpacked() -> None:
    packed = lzma.compress(TEXT, preset=9 | lzma.PRESET_EXTREME)
    assert everything(dripping(packed, PIECE)) == TEXT


def test_a_dictionary_larger_than_a_board_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 << 20}]
    with pytest.raises(NotAnImageError, match="unpacked"):
        everything(dripping(lzma.compress(TEXT, filters=filters), PIECE))


@given(st.integers(0, 3000), st.integers(1, 5000))
def test_what_is_cut_off_is_not_all_there(cut: int, drip: int) -> None:
    packed = lzma.compress(TEXT)
    cut = min(cut, len(packed) - 1)
    unpacker = Unpacker(dripping(packed[:cut], drip))
    with pytest.raises(NotAnImageError, match="not all there"):
        unpacker.exactly(len(TEXT))


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_packed_data_with_a_bit_flipped(place: int, bit: int) -> None:
    """Never anything else than what was packed, at most less of it."""
    packed = bytearray(lzma.compress(TEXT))
    packed[place % len(packed)] ^= 1 << bit
    got = b""
    try:
        unpacker = Unpacker(dripping(bytes(packed), 500))
        while piece := unpacker.read(700):
            got += piece
    except NotAnImageError:
        return
    assert got in {TEXT, bytes(packed)}


def test_a_bomb_is_unpacked_no_further_than_it_is_read() -> None:
    packed = lzma.compress(bytes(64 << 20), preset=0)
    read = 0

    def source(limit: int) -> bytes:
        nonlocal read
        piece = packed[read : read + min(limit, 100)]
        read += len(piece)
        return piece

    unpacker = Unpacker(source)
    assert unpacker.exactly(2 * PIECE) == bytes(2 * PIECE)
    assert read < len(packed) // 10


@pytest.mark.parametrize(
    ("magic", "name"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"BZh9", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ],
)
def test_other_packings_are_named(magic: bytes, name: str) -> None:
    with pytest.raises(NotAnImageError, match=name):
        Unpacker(dripping(magic + bytes(100), 1))


def test_nothing_at_all() -> None:
    unpacker = Unpacker(dripping(b"", 1))
    with pytest.raises(NotAnImageError, match="after 0 bytes"):
        unpacker.skip_to(1)
