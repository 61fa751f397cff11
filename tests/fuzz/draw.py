"""Decisions out of bytes: the fuzzer's bytes are a tape, each decision takes some from its front.

Where the tape is at its end every decision is the first of its choices. So a shorter input is a
simpler one, which is what a fuzzer's minimiser counts on.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A tape of bytes that is read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """The next `size` bytes, or as many as there are."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def integer(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        span = high - low + 1
        size = (span - 1).bit_length() + 7 >> 3
        return low + int.from_bytes(self.raw(size), "little") % span

    def pick(self, choices: Sequence[T]) -> T:
        """One of these."""
        return choices[self.integer(0, len(choices) - 1)]

    def one_in(self, count: int) -> bool:
        """True once in `count` times; never at the end of the tape."""
        return self.integer(0, count - 1) == count - 1

    def filled(self, size: int) -> bytes:
        """Exactly `size` bytes that cost few of the tape: a short piece, repeated."""
        if size <= 16:
            return self.raw(size).ljust(size, b"\0")
        piece = self.raw(4) or b"\0"
        return (piece * (size // len(piece) + 1))[:size]
