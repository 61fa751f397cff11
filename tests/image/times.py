"""What took how long, of all tests together: printed at the end, and kept in times.json."""

import json
from pathlib import Path
from typing import Any


class Times:
    """A list of (what, figure), in the order of measuring."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._values: dict[str, Any] = {}

    def note(self, what: str, seconds: float) -> None:
        """Seconds of something."""
        self.say(what, f"{seconds:.1f} s", round(seconds, 2))

    def say(self, what: str, text: str, value: Any = None) -> None:
        """Anything else that is worth a line; `value` for times.json."""
        self._found.append((what, text))
        self._values[what] = text if value is None else value

    def lines(self) -> list[str]:
        """A table."""
        width = max((len(what) for what, _ in self._found), default=0)
        return [f"{what:{width}}  {text}" for what, text in self._found]

    def save(self, path: Path) -> None:
        """Write all of it down."""
        path.write_text(json.dumps(self._values, indent=2) + "\n")


TIMES = Times()
