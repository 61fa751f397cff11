"""Finding the device: at once or not at all, or as soon as it is there.

A device that is awaited is asked for every half second, over a connection of its own each time,
since nothing in USB/IP tells a client that a device has come. A server that is away is asked as
often while it is awaited for the first time; after a loss it is asked with growing pauses
(`Backoff`), since half a building may be waiting for the same server.
"""

import asyncio
import time
from collections.abc import Callable

from gadgetip.attachment.backoff import Backoff
from gadgetip.errors import (
    DeviceUnpluggedError,
    GadgetipError,
    LocalProtocolError,
    PrerequisiteError,
    RefusedError,
    RemoteProtocolError,
    UsageError,
)
from gadgetip.link import HostAddress
from gadgetip.matching import Wanted
from gadgetip.remote import (
    AmbiguousError,
    DeviceBusyError,
    FoundDevice,
    KnownTrees,
    LeftOut,
    NotExportedError,
    OnImport,
    find_and_import,
)

POLL_S = 0.5

Search = Callable[[HostAddress, Wanted], FoundDevice]
"""Gives the imported device, or raises."""

OnWaiting = Callable[[GadgetipError, float], None]
"""Told why there is no device yet, and when it is asked for again, in seconds."""

_PERMANENT = (UsageError, PrerequisiteError, RefusedError, LocalProtocolError, AmbiguousError)
AWAITED = (NotExportedError, DeviceBusyError, DeviceUnpluggedError)
"""The server is there, the device is not, or is in use."""


def search_once(address: HostAddress, selector: Wanted) -> FoundDevice:
    """Import the device now; raises what `find_and_import` raises."""
    return asyncio.run(find_and_import(address, selector))


class PatientSearch:
    """Looks until the device is there; ended by the user only, or by an error that time won't mend.

    With a `backoff` (after a loss) a peer that talks nonsense is also asked again: it may be a
    server in the middle of a restart. `poll_s` says how often an awaited device is asked for, in
    seconds; `pause` waits for so many seconds, or less where something happens that makes it worth
    while. What is `left_out` is not taken.
    """

    def __init__(
        self,
        on_waiting: OnWaiting,
        backoff: Backoff | None = None,
        *,
        pause: Callable[[float], None] | None = None,
        poll_s: Callable[[], float] = lambda: POLL_S,
        on_import: OnImport | None = None,
        left_out: LeftOut | None = None,
    ) -> None:
        self._wait = pause or time.sleep
        self._poll_s = poll_s
        self._on_import = on_import
        self._left_out = left_out
        self._on_waiting = on_waiting
        self._backoff = backoff
        self._known: KnownTrees = {}

    def __call__(self, address: HostAddress, selector: Wanted) -> FoundDevice:
        """Give the device as soon as it can be imported."""
        while True:
            began = time.monotonic()
            try:
                return self._ask(address, selector)
            except GadgetipError as error:
                if not may_pass(error, after_loss=self._backoff is not None):
                    raise
                pause_s = self._pause(error, time.monotonic() - began)
                self._on_waiting(error, pause_s)
            self._wait(pause_s)

    def _ask(self, address: HostAddress, selector: Wanted) -> FoundDevice:
        return asyncio.run(
            find_and_import(address, selector, self._known, self._on_import, self._left_out)
        )

    def _pause(self, error: GadgetipError, took_s: float) -> float:
        if self._backoff is None:
            return self._until_the_next(took_s)
        if isinstance(error, AWAITED):
            self._backoff.reset()  # the server is there
            return self._until_the_next(took_s)
        return self._backoff.pause()

    def _until_the_next(self, took_s: float) -> float:
        return max(self._poll_s() - took_s, 0.05)


def may_pass(error: GadgetipError, *, after_loss: bool) -> bool:
    """Whether asking again can help, without the user doing anything here."""
    if isinstance(error, RemoteProtocolError):
        return after_loss
    return not isinstance(error, _PERMANENT)
