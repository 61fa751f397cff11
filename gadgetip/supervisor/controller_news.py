"""When a controller comes or goes: a module that is loaded, a port that changes its role.

The kernel announces it on a netlink socket, whether udevd runs or not. What is on a controller is
not announced: that is looked at.
"""

import pyudev

from gadgetip.errors import PrerequisiteError
from gadgetip.gadget import Udc, list_udcs
from gadgetip.gadget.configfs import GADGET_PREFIX
from gadgetip.supervisor.controllers import Controller

_BURST = 64


class ControllerNews:
    """The kernel's announcements; `fileno` is readable when there may be some."""

    def __init__(self) -> None:
        """Begin to listen; raises `PrerequisiteError` where the kernel gives no such socket."""
        try:
            self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), "kernel")
            self._monitor.filter_by("udc")
            self._monitor.start()
        except ImportError:
            raise PrerequisiteError("libudev is missing: apt install libudev1") from None
        except OSError as error:
            raise PrerequisiteError(
                f"the kernel announces no controllers here ({error}): run it in the host's network"
            ) from None

    def fileno(self) -> int:
        """The socket."""
        return int(self._monitor.fileno())

    def receive(self) -> bool:
        """Take what was announced; returns whether there was anything."""
        news = False
        for _ in range(_BURST):
            try:
                device = self._monitor.poll(0)
            except OSError:  # something was missed
                return True
            if device is None:
                break
            news = True
        return news


def controllers_now(ours: frozenset[str]) -> list[Controller]:
    """The controllers of this machine; on those of `ours` an attachment of this process runs."""
    return [Controller(udc.name, _foreign(udc, ours)) for udc in list_udcs()]


def _foreign(udc: Udc, ours: frozenset[str]) -> str | None:
    """What sits on a controller and is not gadgetip's; a dead gadgetip's is cleaned up later."""
    if udc.owner is None or udc.name in ours or udc.owner.startswith(f"gadget {GADGET_PREFIX}"):
        return None
    return udc.owner
