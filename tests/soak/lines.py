"""What a serial port owes its ends: the oracle of the serial load, one for each direction. Pure.

Each direction carries lines of 64 bytes, numbered without end, whose text follows from their
number. So the receiver knows every byte that it must see next, and can tell three things apart:

gap       bytes that did not come. Allowed where somebody reported it, see `reports`.
doubled   bytes that came again, or in another order. Never allowed.
invented  bytes that nobody sent. Never allowed.

A gap may begin and end within a line. What came of the torn lines is then the beginning of what was
due and the end of it, and nothing else.

The kernel's terminals echo until they have been told not to, and they forget what they were told
when they are hung up. A line of the other direction shortly after an end was opened is such an echo
and is left out.
"""

import hashlib
from dataclasses import dataclass

LENGTH = 64
ECHO_S = 5.0


def line(way: str, number: int) -> bytes:
    """One line of a direction, a letter."""
    name = f"{way}{number:08d}"
    return f"<{name} {hashlib.shake_128(name.encode()).hexdigest(26)}\n".encode()


def number_of(way: str, data: bytes) -> int | None:
    """Which line of this direction these 64 bytes are, if any."""
    digits = data[2:10]
    if data[:2] != f"<{way}".encode() or not digits.isdigit():
        return None
    return int(digits) if data == line(way, int(digits)) else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that did not come: when it began and ended at the receiver, and how many.

    `cut` says that an end was closed and opened again meanwhile: both programs were told by their
    own kernel that the port was gone for a while, and what lay in its buffers went with it.
    """

    begin_s: float
    end_s: float
    first: int
    bytes: int
    cut: bool


class LineOracle:
    """Follows one direction at its receiver."""

    def __init__(self, way: str, other: str, at: float) -> None:
        self._way, self._other = way, other
        self._next = 0
        self._unread = bytearray()
        self._torn = bytearray()
        self._last_s = self._opened_s = at
        self._cut = False
        self.received = 0
        """Lines that arrived whole."""
        self.echoes = 0
        self.gaps: list[Gap] = []
        self.faults: list[str] = []

    @property
    def expects(self) -> int:
        """The number of the line that is due."""
        return self._next

    def opened(self, at: float) -> None:
        """The receiver or the sender opened its end anew."""
        self._opened_s = at
        self._cut = True

    def reader_opened(self, at: float) -> None:
        """The receiver opened its end anew: what was half read will not go on."""
        self.opened(at)
        self._unread.clear()
        self._torn.clear()

    def heard(self, data: bytes, at: float) -> None:
        """The receiver has read these bytes."""
        self._unread += data
        while len(self._unread) >= LENGTH:
            head = bytes(self._unread[:LENGTH])
            if (number := number_of(self._way, head)) is not None:
                del self._unread[:LENGTH]
                self._line(number, at)
            elif number_of(self._other, head) is not None:
                del self._unread[:LENGTH]
                self._echo(at)
            else:
                self._torn += self._unread[:1]
                del self._unread[:1]

    def finish(self, sent: int, at: float) -> None:
        """Nothing more is sent: so many lines were."""
        self._torn += self._unread
        self._unread.clear()
        if self._next != sent or self._torn:
            self._gap(sent, at)

    def _line(self, number: int, at: float) -> None:
        self.received += 1
        if number < self._next:
            self._fault(f"line {number} came after line {self._next - 1}")
            self._torn.clear()
            return
        if number > self._next or self._torn:
            self._gap(number, at)
        self._next = number + 1
        self._last_s = at
        self._cut = False

    def _echo(self, at: float) -> None:
        self.echoes += 1
        if at - self._opened_s > ECHO_S:
            self._fault(f"a line that was sent came back before line {self._next}")

    def _gap(self, upto: int, at: float) -> None:
        torn = bytes(self._torn)
        self._torn.clear()
        missing = (upto - self._next) * LENGTH - len(torn)
        if not self._cut and not self._is_rest(torn, upto):
            self._fault(f"{len(torn)} bytes before line {upto} are not what was due: {torn[:96]!r}")
        elif missing > 0:
            self.gaps.append(Gap(self._last_s, at, self._next, missing, self._cut))
        self._next = max(self._next, upto)

    def _is_rest(self, torn: bytes, upto: int) -> bool:
        """Whether these bytes are the beginning and the end of what was due, apart or together."""
        count = upto - self._next
        if len(torn) > count * LENGTH:
            return False
        reach = range(self._next, upto)
        near = -(-len(torn) // LENGTH)
        begin = b"".join(line(self._way, each) for each in reach[:near])
        end = b"".join(line(self._way, each) for each in reach[count - near :])
        return any(
            begin[:cut] == torn[:cut] and end.endswith(torn[cut:]) for cut in range(len(torn) + 1)
        )

    def _fault(self, text: str) -> None:
        self.faults.append(f"{self._way}: {text}")
