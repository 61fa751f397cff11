"""Keeping a device attached: attach, and attach again whenever it is lost.

What ends it is the user, or an error that no second attempt can mend. A loss is announced with its
reason. The device is then looked for anew by what the user wrote, since a device that is plugged
in again may have another bus id.
"""

import time
from collections.abc import Callable

from gadgetip.attachment.backoff import Backoff
from gadgetip.attachment.searching import POLL_S, OnWaiting, PatientSearch, Search, may_pass
from gadgetip.errors import DeviceUnpluggedError, GadgetipError
from gadgetip.link import HostAddress
from gadgetip.matching import Wanted
from gadgetip.remote import FoundDevice


def keep_attached(
    attach: Callable[[Search], None],
    first: Search,
    *,
    on_lost: Callable[[GadgetipError], None],
    on_waiting: OnWaiting,
    backoff: Backoff | None = None,
    pause: Callable[[float], None] | None = None,
    again: Search | None = None,
) -> None:
    """Call `attach` with a search, again and again.

    `attach` returns when the user stopped it, which ends this too, and raises when the device was
    lost. `first` is how the device is found for the first time: an error of that one is raised.
    `again` is how it is found after a loss; a `PatientSearch` by default. `pause` waits for so many
    seconds, or less where something happens that makes it worth while.
    """
    backoff = backoff or Backoff()
    search = _Noting(first)
    while True:
        try:
            attach(search)
            return
        except GadgetipError as error:
            if search.found_at is None or not may_pass(error, after_loss=True):
                raise
            on_lost(error)
            if isinstance(error, DeviceUnpluggedError):
                pause_s = POLL_S
            else:
                backoff.lasted(time.monotonic() - search.found_at)
                pause_s = backoff.pause()
        (pause or time.sleep)(pause_s)
        search = _Noting(again or PatientSearch(on_waiting, backoff, pause=pause))


class _Noting:
    """A search that notes when it found the device."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.found_at: float | None = None

    def __call__(self, address: HostAddress, selector: Wanted) -> FoundDevice:
        found = self._search(address, selector)
        self.found_at = time.monotonic()
        return found
