"""What a run is told by: how many inputs and messages, how fast, and whether memory grew."""

import time
from pathlib import Path
from typing import NamedTuple

LONG_RUN = 100_000  # messages; before that, caches are still being filled
MANY_SAMPLES = 8
GROWTH = 1.1


class Sample(NamedTuple):
    """One line of the table."""

    seconds: float
    executions: int
    messages: int
    rss_kib: int


def rss_kib() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


class Meter:
    """Counts, and takes a sample at each tenth of the way."""

    def __init__(self, limit_s: float, limit_messages: int) -> None:
        self.limit_s, self.limit_messages = limit_s, limit_messages
        self.samples: list[Sample] = []
        self.executions = self.messages = 0
        self._began = time.monotonic()
        self._next = 0.0

    def count(self, messages: int) -> bool:
        """Note one input that was run; whether the limit is reached."""
        self.executions += 1
        self.messages += messages
        seconds = time.monotonic() - self._began
        done = self._share(seconds)
        if done >= self._next or done >= 1:
            self.samples.append(Sample(seconds, self.executions, self.messages, rss_kib()))
            self._next = done + 0.1
        return done >= 1

    def _share(self, seconds: float) -> float:
        """How much of the way is done; without a limit, never anything."""
        share = 0.0
        if self.limit_s:
            share = seconds / self.limit_s
        if self.limit_messages:
            share = max(share, self.messages / self.limit_messages)
        return share

    @property
    def growth(self) -> str:
        """What to say if memory grew after the first fifth of a long run; empty if it did not."""
        if self.messages < LONG_RUN or len(self.samples) < MANY_SAMPLES:
            return ""
        early, last = self.samples[2].rss_kib, self.samples[-1].rss_kib
        if last <= early * GROWTH:
            return ""
        return f"memory grew from {early} KiB, a fifth of the way, to {last} KiB"

    def line(self) -> str:
        """The result in one line."""
        last = self.samples[-1]
        rate = last.executions / last.seconds if last.seconds else 0
        memory = f"RSS {self.samples[0].rss_kib} KiB at first, {last.rss_kib} KiB at the end"
        return (
            f"{last.executions} inputs, {last.messages} messages in {last.seconds:.0f} s, "
            f"{rate:.0f} inputs/s; {memory}"
        )

    def table(self) -> str:
        """RSS along the way, in Markdown."""
        rows = [f"| {s.messages:,} | {s.executions:,} | {s.rss_kib:,} |" for s in self.samples]
        return "\n".join(["| messages | inputs | RSS KiB |", "|--:|--:|--:|", *rows])
