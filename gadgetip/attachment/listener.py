"""Who is told what happens to an attachment, whichever sink it goes to.

The command line tells a person or a program; the supervisor keeps it as the attachment's state.
What is not of interest is not overridden.
"""

from dataclasses import dataclass

from gadgetip.attachment.traffic import Traffic
from gadgetip.errors import GadgetipError
from gadgetip.gadget import Plan, Udc
from gadgetip.remote import FoundDevice
from gadgetip.usb import Speed
from gadgetip.vhci import Remembered, VhciPort


@dataclass(frozen=True, slots=True)
class Bound:
    """A replica that the host can see: what, from where, on what, and how it differs."""

    found: FoundDevice
    udc: Udc
    plan: Plan

    @property
    def window_urbs(self) -> int | None:
        """The widest window of all endpoints that carry data; None where none does."""
        configurations = self.plan.configurations
        routes = [
            route for each in configurations for some in each.routes.values() for route in some
        ]
        return max((route.window_urbs for route in routes), default=None)


@dataclass(frozen=True, slots=True)
class Imported:
    """A device that this machine's kernel has taken over, and the port it sits on."""

    found: FoundDevice
    port: VhciPort
    remembered: Remembered


class Listener:
    """Who is told what happens; the default says nothing."""

    def waiting(self, error: GadgetipError, pause_s: float) -> None:
        """There is no device yet, and why; it is asked for again after `pause_s` seconds."""

    def importing(self, busid: str) -> None:
        """The device is ours; what it says of itself is read next."""

    def imported(self, found: FoundDevice) -> None:
        """The device is known; how to rebuild it is planned next."""

    def bound(self, bound: Bound) -> None:
        """The replica is on its controller."""

    def attached(self, imported: Imported) -> None:
        """The kernel has the device on a vhci port."""

    def configured(self, speed: Speed | None) -> None:
        """The host has configured the replica at this speed; None: it does not use it any more."""

    def host(self, text: str) -> None:
        """The host did something that matters."""

    def notice(self, text: str) -> None:
        """Something that a person may have to know."""

    def held(self, reason: str, limit_s: float) -> None:
        """The link is lost; the host keeps its device for `limit_s` seconds at most."""

    def resumed(self, after_s: float) -> None:
        """The device is back, `after_s` seconds after the loss, and the host may go on."""

    def traffic(self, traffic: Traffic) -> None:
        """What has moved so far; about once a second while it changes."""

    def lost(self, error: GadgetipError) -> None:
        """The device is gone, and why; it will be attached again."""
