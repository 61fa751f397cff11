"""The buffer gives what it got, at the cost that it states."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from gadgetip.wire.receive_buffer import ReceiveBuffer


@given(
    st.lists(
        st.one_of(st.binary(max_size=20), st.integers(500, 600).map(lambda n: bytes([n % 251]) * n))
    ),
    st.lists(st.integers(0, 700)),
)
def test_gives_what_it_got(pieces: list[bytes], sizes: list[int]) -> None:
    buffer = ReceiveBuffer()
    expected = b""
    taken = iter(sizes)
    for piece in pieces:
        buffer.add(piece)
        expected += piece
        size = next(taken, 0)
        block = buffer.take(size)
        if size > len(expected):
            assert block is None
        else:
            assert block == expected[:size]
            expected = expected[size:]
        assert len(buffer) == len(expected)
    assert buffer.take_all() == expected
    assert len(buffer) == 0


def test_a_whole_piece_is_not_copied() -> None:
    buffer = ReceiveBuffer()
    payload = bytes(65536)
    buffer.add(b"head")
    buffer.add(payload)
    assert buffer.take(4) == b"head"
    assert buffer.take(65536) is payload


def test_what_is_mutable_is_copied() -> None:
    buffer = ReceiveBuffer()
    for size in (4, 4096):
        piece = bytearray(size)
        buffer.add(piece)
        buffer.add(memoryview(piece))
        piece[:] = b"x" * size
        assert buffer.take_all() == bytes(2 * size)


def test_a_memoryview_of_larger_items_counts_bytes() -> None:
    buffer = ReceiveBuffer()
    buffer.add(memoryview(b"12345678").cast("I"))
    assert buffer.take(8) == b"12345678"


def test_small_pieces_take_little_more_than_their_bytes() -> None:
    buffer = ReceiveBuffer()
    for _ in range(100_000):
        buffer.add(b"x")
    pieces = buffer._pieces
    assert sum(sys.getsizeof(piece) for piece in pieces) + sys.getsizeof(pieces) < 200_000


def test_a_reader_that_lags_does_not_keep_what_it_has_read() -> None:
    """The buffer is never empty here, so nothing is ever freed by being emptied."""
    buffer = ReceiveBuffer()
    buffer.add(b"x")
    for _ in range(100_000):
        buffer.add(b"xxx")
        buffer.take(3)
    assert sum(sys.getsizeof(piece) for piece in buffer._pieces) < 100_000


def test_growing_after_a_take_across_pieces() -> None:
    buffer = ReceiveBuffer()
    buffer.add(bytes(1000))
    buffer.add(b"ab")
    assert buffer.take(1001) == bytes(1000) + b"a"
    buffer.add(b"cd")  # grows the piece that was just read from
    assert buffer.take_all() == b"bcd"
