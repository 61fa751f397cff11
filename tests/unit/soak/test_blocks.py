"""The storage load's oracle finds what it is there for."""

from hypothesis import given
from hypothesis import strategies as st

from tests.soak.blocks import BLOCK, NEVER, BlockOracle, block, sequence_of

ZEROES = bytes(BLOCK)


def written(oracle: BlockOracle, number: int = 7) -> bytes:
    data = oracle.issue(number)
    oracle.written(range(number, number + 1))
    return data


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**64 - 1))
def test_a_block_says_which_write_it_is_from(number: int, sequence: int) -> None:
    assert len(block(number, sequence)) == BLOCK
    assert sequence_of(number, block(number, sequence)) == sequence


@given(st.integers(1, 1000), st.integers(0, BLOCK - 1), st.integers(1, 255))
def test_a_single_changed_byte_is_seen(sequence: int, at: int, flip: int) -> None:
    data = bytearray(block(3, sequence))
    data[at] ^= flip
    assert sequence_of(3, bytes(data)) is None


def test_a_block_at_the_wrong_place_is_none() -> None:
    assert sequence_of(4, block(3, 1)) is None
    assert sequence_of(4, ZEROES) == NEVER


def test_before_a_flush_old_and_new_are_right() -> None:
    oracle = BlockOracle()
    data = written(oracle)
    assert not oracle.faults(7, data)
    assert not oracle.faults(7, ZEROES)


def test_a_lost_confirmed_block_is_found() -> None:
    oracle = BlockOracle()
    data = written(oracle)
    oracle.flushed()
    assert not oracle.faults(7, data)
    assert oracle.faults(7, ZEROES)


def test_an_older_write_over_a_confirmed_one_is_found() -> None:
    oracle = BlockOracle()
    first = oracle.issue(7)
    oracle.lost_touch()  # it failed, and may lie in wait somewhere
    second = written(oracle)
    assert not oracle.faults(7, first)
    oracle.flushed()
    assert not oracle.faults(7, second)
    assert oracle.faults(7, first)


def test_a_later_write_that_failed_is_allowed() -> None:
    oracle = BlockOracle()
    confirmed = written(oracle)
    oracle.flushed()
    later = oracle.issue(7)
    oracle.lost_touch()
    assert not oracle.faults(7, confirmed)
    assert not oracle.faults(7, later)


def test_a_flush_after_a_failure_confirms_nothing_from_before() -> None:
    oracle = BlockOracle()
    written(oracle)
    oracle.lost_touch()
    oracle.flushed()
    assert oracle.confirmations == 0
    assert not oracle.faults(7, ZEROES)


def test_half_a_write_is_found() -> None:
    oracle = BlockOracle()
    old = written(oracle)
    oracle.flushed()
    new = written(oracle)
    assert oracle.faults(7, new[:512] + old[512:])
