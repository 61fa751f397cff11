"""What the controller's state in sysfs tells of the host, and endpoint 0 does not.

A bus reset and a deconfiguration look the same to a gadget: it is disabled. Only a reset, or an
unplug, makes the controller leave "configured" (drivers/usb/gadget/udc/core.c,
`usb_gadget_udc_reset`; composite.c, `set_config`, leaves the state alone). The file can be polled,
and it goes away with its controller.
"""

import asyncio
import os
import select
from collections.abc import Callable

from gadgetip.gadget.udc import driver_file, state_file

DRIVER_POLL_S = 1.0
CONFIGURED_STATES = frozenset({"configured", "addressed", "suspended"})


class ControllerState:
    """Follows the state of one controller; `gone` is called when that is removed."""

    def __init__(self, udc: str, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._file = os.open(state_file(udc), os.O_RDONLY | os.O_CLOEXEC)
        self._driver = os.open(driver_file(udc), os.O_RDONLY | os.O_CLOEXEC)
        self._reset_seen = False
        self.look()

    def attach(self) -> None:
        """Look at each change (sysfs_notify: POLLPRI, nothing else) on the running event loop."""
        self._poll = select.epoll()
        self._poll.register(self._file, select.EPOLLPRI)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._poll.fileno(), self._changed)
        self._loop.call_later(DRIVER_POLL_S, self._look_at_driver, False)

    def look(self) -> bool:
        """Look right now, from any thread; False when the controller is gone."""
        try:
            state = os.pread(self._file, 64, 0).decode("ascii", "replace").strip()
        except OSError:
            return False
        if state not in CONFIGURED_STATES:
            self._reset_seen = True
        return True

    def note_reset(self) -> None:
        """Endpoint 0 has told of a reset, or an unplug, which may be over by now."""
        self._reset_seen = True

    @property
    def reset_seen(self) -> bool:
        """Whether the host has reset, or unplugged, since `forget_reset`."""
        return self._reset_seen

    def forget_reset(self) -> None:
        """The reset has been acted on."""
        self._reset_seen = False

    def _look_at_driver(self, had_one: bool) -> None:
        """Whether the controller still has a driver: GadgetFS does not tell that it lost it."""
        try:
            has_one = bool(os.pread(self._driver, 64, 0).strip())
        except OSError:
            return  # the controller is gone, which its state tells
        if had_one and not has_one:
            self._gone()
            return
        self._loop.call_later(DRIVER_POLL_S, self._look_at_driver, has_one)

    def _changed(self) -> None:
        self._poll.poll(0)
        if not self.look():
            self._loop.remove_reader(self._poll.fileno())
            self._gone()
