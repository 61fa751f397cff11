"""Bytes that have come and are not yet understood.

Operations, and what they may cost for n bytes in all, whatever the pieces they come in:

* add a piece: O(1) for a large one, which is kept as it is; a small one is copied once.
* take a block: the bytes of the block are copied once, or not at all if the block is exactly one
  piece. A taken block is never moved again, so all takes together cost O(n).
* ask for a block that is not there yet: O(1). Feeding byte by byte is therefore not quadratic.
* memory: the unread bytes, and less than one piece beside them.

A single bytearray, the obvious design, copies each byte of a large payload twice (in, out) and
must sometimes move what remains. Here a socket's `recv` of 64 KiB goes through untouched if it
holds exactly one payload. Small pieces are collected, because a list of single bytes would take
fifty times their size.
"""

from collections import deque
from typing import Final

# Below this a piece is cheaper to copy than to keep: about what bytes and deque cost in memory.
_SMALL: Final = 512
# A collection stops growing here, so that its consumed front does not outlive it for long.
_FULL: Final = 16384


class ReceiveBuffer:
    """A queue of bytes: pieces in, blocks of any size out."""

    __slots__ = ("_length", "_offset", "_pieces")

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray] = deque()
        self._offset = 0  # how much of the first piece has been taken
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`. `bytes` is kept without copying, anything mutable is copied."""
        if isinstance(data, memoryview):
            data = bytes(data)  # whatever its items are: len() counts bytes from here on
        size = len(data)
        if not size:
            return
        self._length += size
        if size < _SMALL:
            last = self._pieces[-1] if self._pieces else b""
            if isinstance(last, bytearray) and len(last) < _FULL:
                last += data
            else:
                self._pieces.append(bytearray(data))
        else:
            self._pieces.append(bytes(data))

    def take(self, size: int) -> bytes | None:
        """Remove and return exactly `size` bytes; None, and no change, if there are fewer."""
        if size > self._length:
            return None
        if not size:
            return b""
        self._length -= size
        first = self._pieces[0]
        start = self._offset
        end = start + size
        if end < len(first):
            self._offset = end
            return bytes(first[start:end])
        if end == len(first):
            self._pieces.popleft()
            self._offset = 0
            return bytes(first[start:] if start else first)
        return self._take_across(size)

    def _take_across(self, size: int) -> bytes:
        """Take a block that does not lie within the first piece."""
        parts: list[memoryview] = []
        while size:
            first = self._pieces[0]
            part = memoryview(first)[self._offset : self._offset + size]
            parts.append(part)
            size -= len(part)
            self._offset += len(part)
            if self._offset == len(first):
                self._pieces.popleft()
                self._offset = 0
        block = b"".join(parts)
        for part in parts:
            part.release()  # a bytearray with a view on it cannot grow
        return block

    def take_all(self) -> bytes:
        """Remove and return everything."""
        return self.take(self._length) or b""
