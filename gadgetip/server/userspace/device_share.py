"""A session's share of this machine's memory for transfers, and the submits that wait for it.

That memory is scarce: usbfs shares 16 MiB among all. A session has `max_bytes` of it at a time; a
submit beyond that, or one for which there is none, waits here (`is_holding`) for one that is in
flight to end or for others to leave some. What waits keeps its order, so that an endpoint's does.
Control transfers overtake it: it may be they that get the device to go on. When none of ours is in
flight, the wait ends after `HOLD_LIMIT_S` with -ENOMEM.
"""

import errno
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

from gadgetip.server.userspace.urb import Urb, UsbDevice
from gadgetip.usb import TransferType

DEVICE_URB_BYTES: Final = 512
"""What usbfs counts for a transfer beside its data, roughly."""

HOLD_LIMIT_S: Final = 3.0
"""How long a submit waits for memory that others than this session have."""

_CONTROL: Final = TransferType.CONTROL


class DeviceShare:
    """Between a session and its device; `refused` gets each transfer that failed, with its status.

    `max_bytes` of 0 is no limit, as in usbfs; `clock` counts seconds.
    """

    def __init__(
        self,
        device: UsbDevice,
        max_bytes: int,
        clock: Callable[[], float],
        refused: Callable[[Urb], None],
    ) -> None:
        self._device = device
        self._max_bytes = max_bytes or sys.maxsize
        self._clock = clock
        self._refused = refused
        self._bytes = 0
        self._held: deque[Urb] = deque()
        self._held_since: float | None = None  # when memory was first refused to the first of them

    @property
    def is_holding(self) -> bool:
        """Whether a submit waits for memory: `retry` has to be called now and then."""
        return bool(self._held)

    def begin(self, urb: Urb) -> None:
        """Give a transfer to the device, or keep it until this machine has memory for it."""
        if self._held and urb.type is not _CONTROL:
            self._held.append(urb)
            return
        status = self._try(urb)
        if status == -errno.ENOMEM:
            if not self._held:
                self._held_since = None
            self._held.append(urb)
        elif status:
            urb.status = status
            self._refused(urb)

    def take_back(self, urb: Urb) -> None:
        """End a transfer: at once if it waits here, soon if the device has it."""
        if self._held and urb in self._held:
            self._held.remove(urb)
            urb.status = -errno.ECONNRESET
            self._refused(urb)
        else:
            self._device.cancel(urb)

    def ended(self, urb: Urb) -> None:
        """Note that the device has a transfer no more, or never had it."""
        self._bytes -= urb.device_bytes

    def retry(self) -> None:
        """Try again what waits for memory."""
        held = self._held
        while held:
            status = self._try(held[0])
            if status != -errno.ENOMEM or self._bytes:
                self._held_since = None
            if status == -errno.ENOMEM and not self._has_waited_enough():
                return
            urb = held.popleft()
            if status:
                urb.status = status
                self._refused(urb)

    def _try(self, urb: Urb) -> int:
        """Give a transfer to the device; -ENOMEM if it has to wait."""
        size = urb.length + DEVICE_URB_BYTES
        most = self._max_bytes
        if urb.type is _CONTROL:
            most *= 2
        if self._bytes and self._bytes + size > most:
            return -errno.ENOMEM
        status = self._device.submit(urb)
        if not status:
            urb.device_bytes = size
            self._bytes += size
        return status

    def _has_waited_enough(self) -> bool:
        """Whether memory was refused for `HOLD_LIMIT_S` while nothing of ours was in flight."""
        if self._bytes:
            return False
        now = self._clock()
        if self._held_since is None:
            self._held_since = now
        return now - self._held_since >= HOLD_LIMIT_S
