"""A load: a thread that uses one attachment as a program on the host does, and a judge of it.

What the thread does is drawn from a seed. It goes on whatever happens to the device, and opens it
again when it is back. Times are `time.time()`'s, as in logs.
"""

import random
import threading
import traceback
from abc import ABC, abstractmethod

THREAD_LIMIT_S = 180.0
"""The kernel's own limits for a disk that does not answer are 30 s, several times over."""


class Load(ABC):
    """One load; its thread runs from `start` to `stop`."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = random.Random(f"{name} {seed}")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name} load", daemon=True)
        self.disturbed_at = 0.0
        self._crash: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and judge what is left to judge; everything must be running."""
        self._stopping.set()
        self._thread.join(THREAD_LIMIT_S)
        if self._thread.is_alive():
            self._crash.append(f"the load has not ended in {THREAD_LIMIT_S:.0f} s")
        else:
            self.finish()

    @property
    def faults(self) -> list[str]:
        """What was wrong so far."""
        return [f"{self.name}: {fault}" for fault in self._crash + self.judged()]

    def link_lost(self, at: float) -> None:
        """Somebody is about to take the device away."""
        self.disturbed_at = at

    @abstractmethod
    def work(self) -> None:
        """Use the device until `stopping`."""

    @abstractmethod
    def finish(self) -> None:
        """The last judgement, after the thread has ended."""

    @abstractmethod
    def judged(self) -> list[str]:
        """The oracle's faults."""

    @abstractmethod
    def progress(self) -> tuple[int, ...]:
        """Counters: each of them grows while the attachment works."""

    @abstractmethod
    def totals(self) -> dict[str, float]:
        """What was done, for the results."""

    @property
    def stopping(self) -> bool:
        """Whether the thread is to end."""
        return self._stopping.is_set()

    def pace(self, seconds: float) -> None:
        """Let some time pass, less where the load ends."""
        self._stopping.wait(seconds)

    def _run(self) -> None:
        try:
            self.work()
        except Exception:
            self._crash.append(f"the load itself failed:\n{traceback.format_exc()}")
