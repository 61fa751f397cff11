"""Which control requests wait for the data that the host wrote before them, and how long.

Writes are posted: the host is told "taken" before the device has the data. On a cable the order
between endpoint 0 and a bulk endpoint is the host's own; here a request could overtake data that
is still on its way. So it waits at a fence (`fence`) first, where that can matter:

* **OUT** requests change something: whatever their type, they act behind the data before them.
* **IN** requests of a class or a vendor ask for something, often for what the data has caused (a
  status, a read-back). They wait too, but briefly: a device that takes no data now would otherwise
  make every question slow.
* **Standard IN** requests ask for what data does not change: descriptors, the configuration.
* Requests that **cancel** must not wait: the data before them may be what the device will never
  take, and they are how the host ends that.

Cancelling requests are recognised by their numbers alone. The class of the interface would be no
better guide: still image devices of the vendor-specific class (many telephones) use the same
requests, and to mistake another request for one of these costs only the fence. USBTMC's
INITIATE_ABORT and INITIATE_CLEAR are IN requests (USBTMC 1.0, 4.2.1): theirs is the short wait.
"""

from gadgetip.usb import Direction, Feature, Recipient, RequestType, SetupPacket, StandardRequest

CHANGE_LIMIT_S = 5.0
"""How long an OUT request waits at most; a host gives up its own wait after five seconds."""

CHANGE_IDLE_S = 1.0
"""... and how long where nothing is confirmed meanwhile: a device that takes no data now."""

QUESTION_LIMIT_S = 0.25

_BULK_ONLY_RESET = 0xFF
"""Bulk-Only Mass Storage Reset (Bulk-Only Transport 1.0, 3.1)."""

_PTP_CANCEL = 0x64
_PTP_RESET = 0x66
"""Cancel Request and Device Reset Request (USB Still Image Capture Device 1.0, 5.2.1, 5.2.3)."""

_CANCEL_LENGTHS = {_BULK_ONLY_RESET: 0, _PTP_CANCEL: 6, _PTP_RESET: 0}
"""wLength of the class requests to an interface that cancel."""


def fence_limits(setup: SetupPacket) -> tuple[float, float]:
    """How long a request waits at the fence, in seconds: at most, and without any progress."""
    if cancels(setup):
        return 0.0, 0.0
    if setup.direction is Direction.OUT:
        return CHANGE_LIMIT_S, CHANGE_IDLE_S
    if setup.type is RequestType.STANDARD:
        return 0.0, 0.0
    return QUESTION_LIMIT_S, QUESTION_LIMIT_S


def cancels(setup: SetupPacket) -> bool:
    """Whether a request ends what is under way instead of following it."""
    if setup.direction is not Direction.OUT:
        return False
    if setup.type is RequestType.STANDARD:
        return (
            setup.bRequest == StandardRequest.CLEAR_FEATURE
            and setup.recipient is Recipient.ENDPOINT
            and setup.wValue == Feature.ENDPOINT_HALT
        )
    if setup == SetupPacket.port_reset():
        return True
    return (
        setup.type is RequestType.CLASS
        and setup.recipient is Recipient.INTERFACE
        and setup.wValue == 0
        and _CANCEL_LENGTHS.get(setup.bRequest) == setup.wLength
    )
