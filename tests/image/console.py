"""A serial console: every line with the time it came at, and waiting for one of them."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")


class NotSeen(AssertionError):
    """A line that was waited for did not come."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `at` is in seconds since power-on."""

    at: float
    text: str


class Console:
    """Reads the console of a machine to its end, in a thread of its own."""

    def __init__(self, stream: IO[bytes], log: Path, began: float) -> None:
        self._began = began
        self._lines: list[Line] = []
        self._partial = ""
        self._changed = threading.Condition()
        self._ended = False
        self._stream = stream
        self._log = log
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[Line]:
        """What came until now."""
        with self._changed:
            partial = [Line(self._now(), self._partial)] if self._partial else []
            return [*self._lines, *partial]

    @property
    def text(self) -> str:
        """The same, as text."""
        return "\n".join(line.text for line in self.lines)

    def tail(self, count: int = 40) -> str:
        """Its end, with times."""
        return "\n".join(f"{line.at:8.1f}  {line.text}" for line in self.lines[-count:])

    def wait_for(self, pattern: str, limit_s: float, since: float = 0.0) -> Line:
        """The first line with this pattern that came after `since`; raises NotSeen."""
        wanted = re.compile(pattern)

        def found() -> Line | None:
            lines = [*self._lines, Line(self._now(), self._partial)]
            return next(
                (line for line in lines if line.at >= since and wanted.search(line.text)), None
            )

        line = self._wait(found, limit_s)
        if line is None:
            why = "the machine ended" if self._ended else f"not within {limit_s:.0f} s"
            raise NotSeen(f"{why}: {pattern!r} on the console, whose end is\n{self.tail()}")
        return line

    def join(self) -> None:
        """Return when all was read."""
        self._thread.join(10)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _wait(self, found: Callable[[], Line | None], limit_s: float) -> Line | None:
        deadline = time.monotonic() + limit_s
        with self._changed:
            while (line := found()) is None and not self._ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return line or found()

    def _read(self) -> None:
        with self._log.open("w") as log:
            while data := self._stream.read1(1 << 14):  # type: ignore[attr-defined]
                now = self._now()
                with self._changed:
                    pieces = (self._partial + data.decode("utf-8", "replace")).split("\n")
                    self._partial = pieces.pop()
                    for piece in pieces:
                        line = Line(now, _CONTROL.sub("", piece))
                        self._lines.append(line)
                        log.write(f"{line.at:8.2f}  {line.text}\n")
                    self._changed.notify_all()
                log.flush()
            log.write(self._partial)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
