"""Work that leaves together: one system call for all that one turn of the event loop has made.

Events come in bursts: one receive brings many RET_SUBMIT, one wake-up many completions. Whoever
handles a burst does so inside the batch; what is made meanwhile (URBs to send, requests to queue)
is only noted, and leaves when the burst is through. Outside of a burst it leaves with the next
turn of the loop.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType


class Batch:
    """Runs each deferred flush once, at the end of the burst or with the next turn."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []
        self._depth = 0
        self._scheduled = False

    def defer(self, flush: Callable[[], None]) -> None:
        """Run `flush` soon; asked for again before that, it still runs once."""
        if flush in self._due:
            return
        self._due.append(flush)
        if not self._depth and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def __enter__(self) -> None:
        """A burst begins."""
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The burst is through."""
        self._depth -= 1
        if not self._depth and self._due:
            self._run()

    def _run(self) -> None:
        self._scheduled = False
        # A flush may defer another one: packets become a URB, and the URB has to be sent.
        while self._due:
            self._due.pop(0)()
