"""When a controller comes or goes: a module that is loaded, a port that changes its role.

The kernel announces it on a netlink socket, whether udevd runs or not. It also announces a change
of the controller whenever a gadget is bound or unbound, and most of these are our own: they are
no news to whoever waits for a server. That a gadget goes is announced before the controller is
free, so that is looked at as well.
"""

from enum import Enum, auto

import pyudev

from gadgetip.errors import PrerequisiteError
from gadgetip.gadget import Udc, list_udcs
from gadgetip.gadget.configfs import GADGET_PREFIX
from gadgetip.supervisor.controllers import Controller

_BURST = 64
_COMES_OR_GOES = frozenset({"add", "remove"})


class Announced(Enum):
    """What the kernel has announced since it was last asked."""

    NOTHING = auto()
    GADGETS = auto()
    """Gadgets were bound or unbound, ours included."""
    CONTROLLERS = auto()
    """A controller came or went, or may have: something was missed."""


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

    def receive(self) -> Announced:
        """Take what was announced; returns the weightiest of it."""
        announced = Announced.NOTHING
        for _ in range(_BURST):
            try:
                device = self._monitor.poll(0)
            except OSError:  # something was missed
                return Announced.CONTROLLERS
            if device is None:
                break
            if device.action in _COMES_OR_GOES:
                announced = Announced.CONTROLLERS
            elif announced is Announced.NOTHING:
                announced = Announced.GADGETS
        return announced


def controllers_now(ours: frozenset[str]) -> list[Controller]:
    """The controllers of this machine; on those of `ours` an attachment of this process runs."""
    return [Controller(udc.name, _foreign(udc, ours)) for udc in list_udcs()]


def _foreign(udc: Udc, ours: frozenset[str]) -> str | None:
    """What sits on a controller and is not gadgetip's; a dead gadgetip's is cleaned up later."""
    if udc.owner is None or udc.name in ours or udc.owner.startswith(f"gadget {GADGET_PREFIX}"):
        return None
    return udc.owner
