"""What an attachment has said: the last lines of it, in memory.

The journal has all of it. This is for whoever asks `gadgetip log`, also on a board whose journal is
in memory and short.
"""

import json
from collections import deque
from dataclasses import dataclass

LINES = 1000
MAX_LINE_CHARACTERS = 1000
MAX_ANSWER_BYTES = 900_000
"""An answer of the control socket has to fit its line (`service.control.MAX_LINE_BYTES`)."""
_LINE_OVERHEAD_BYTES = 80


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; `number` counts from 1, `at` is in seconds of the epoch."""

    number: int
    at: float
    text: str


def in_one_line(text: str) -> str:
    """The text with what does not print, line ends and lone surrogates too, shown as what it is."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


class LogRing:
    """The last `LINES` lines of one attachment."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._count = 0

    def add(self, at: float, text: str) -> None:
        """Note a line; what does not print is shown as what it is, what is too long is cut."""
        shown = in_one_line(text[:MAX_LINE_CHARACTERS])
        self._count += 1
        self._lines.append(LogLine(self._count, at, shown[:MAX_LINE_CHARACTERS]))

    @property
    def newest(self) -> int:
        """The number of the newest line; 0 before there is one."""
        return self._count

    def last(self, most: int = LINES, after: int = 0) -> list[LogLine]:
        """The last lines, `most` of them and as many as an answer holds, behind number `after`."""
        chosen: deque[LogLine] = deque()
        left = MAX_ANSWER_BYTES
        for line in reversed(self._lines):
            left -= len(json.dumps(line.text)) + _LINE_OVERHEAD_BYTES
            if line.number <= after or len(chosen) >= most or left < 0:
                break
            chosen.appendleft(line)
        return list(chosen)
