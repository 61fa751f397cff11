"""The soak's own log: what was done, when, and how long it took to be running again.

One JSON object a line in `soak.jsonl`, and a line for whoever watches. With the seed in the first
line, the same disturbances come in the same order again.
"""

import json
import statistics
import time
from collections import defaultdict
from pathlib import Path


class Journal:
    """Writes the log, and sums it up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.time()
        self._recoveries: dict[str, list[float]] = defaultdict(list)
        self._path.write_text("")

    def write(self, what: str, **fields: object) -> None:
        """One line."""
        now = time.time()
        with self._path.open("a") as file:
            file.write(json.dumps({"at": round(now, 3), "what": what} | fields) + "\n")
        said = " ".join(f"{key}={value}" for key, value in fields.items())
        print(f"[{now - self._began:7.1f} s] {what} {said}", flush=True)

    def recovered(self, disturbance: str, seconds: float, **fields: object) -> None:
        """Everything that was disturbed runs again, so long after it could."""
        self._recoveries[disturbance].append(seconds)
        self.write("running again", disturbance=disturbance, seconds=round(seconds, 2), **fields)

    def recoveries(self) -> dict[str, dict[str, float]]:
        """How often, and how long it took, by disturbance."""
        return {
            name: {
                "times": len(each),
                "median_s": round(statistics.median(each), 2),
                "longest_s": round(max(each), 2),
            }
            for name, each in sorted(self._recoveries.items())
        }
