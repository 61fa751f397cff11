"""What a disk owes its host: the oracle of the storage load. Pure; reads and writes nothing.

Every block of the disk that is used carries its own number, a sequence number that no other write
has, and text that follows from both. So a block that is read says which write it is from, and one
that is torn, at the wrong place or rotten is none.

A write that was issued may be found, whether it failed or not: nobody promised anything. After a
flush that returned, the newest write of each block before it is *confirmed*: from then on the block
must be that write, or one issued later. An older one that comes to light, for example because it
was kept somewhere and run again, is a loss.
"""

import hashlib
import struct
from dataclasses import dataclass, field

BLOCK = 4096
MAGIC = b"gadgetip soak"
HEAD = struct.Struct("<16sIQ")  # magic, block, sequence

NEVER = 0
"""The sequence number of a block that nobody has written yet."""


def block(number: int, sequence: int) -> bytes:
    """The 4096 bytes of one block as one write leaves them."""
    head = HEAD.pack(MAGIC, number, sequence)
    return head + hashlib.shake_128(head).digest(BLOCK - HEAD.size)


def sequence_of(number: int, data: bytes) -> int | None:
    """Which write this block is from; None where it is none of ours as a whole."""
    if not any(data):
        return NEVER
    magic, at, sequence = HEAD.unpack_from(data)
    whole = magic.rstrip(b"\0") == MAGIC and at == number and data == block(number, sequence)
    return sequence if whole else None


@dataclass(slots=True)
class _Promise:
    """What is known of one block."""

    confirmed: int = NEVER
    issued: list[int] = field(default_factory=list)  # after the confirmed one, in order

    def allows(self, sequence: int | None) -> bool:
        return sequence == self.confirmed or sequence in self.issued


class BlockOracle:
    """Keeps what was written and confirmed, and judges what is read."""

    def __init__(self) -> None:
        self._promises: dict[int, _Promise] = {}
        self._written: dict[int, int] = {}
        self._sequence = NEVER
        self.confirmations = 0
        """How many writes a flush has confirmed."""

    def issue(self, number: int) -> bytes:
        """A new version of a block is about to be written; what to write."""
        self._sequence += 1
        self._promises.setdefault(number, _Promise()).issued.append(self._sequence)
        return block(number, self._sequence)

    def written(self, numbers: range) -> None:
        """The last versions of these blocks were taken by the disk without an error."""
        for number in numbers:
            self._written[number] = self._promises[number].issued[-1]

    def lost_touch(self) -> None:
        """The disk went or failed: what it took and was not asked to flush is in doubt for ever."""
        self._written.clear()

    def flushed(self) -> None:
        """A flush returned: everything that was written before it is confirmed."""
        for number, sequence in self._written.items():
            promise = self._promises[number]
            promise.confirmed = sequence
            promise.issued = [each for each in promise.issued if each > sequence]
        self.confirmations += len(self._written)
        self._written.clear()

    @property
    def known(self) -> list[int]:
        """The blocks that were ever written, in order."""
        return sorted(self._promises)

    def faults(self, number: int, data: bytes) -> list[str]:
        """What is wrong with a block as it was read; nothing where the promise is kept."""
        promise = self._promises.get(number, _Promise())
        found = sequence_of(number, data)
        if promise.allows(found):
            return []
        what = "torn or foreign" if found is None else f"write {found}"
        later = promise.issued or "none"
        return [f"block {number} is {what}; confirmed: {promise.confirmed}, issued later: {later}"]
