"""vhci: the standard path, this machine's own virtual host controller.

The kernel's vhci_hcd takes a connected stream and makes the device appear as if it were plugged
in here. This room finds ports, hands streams over, takes devices off again, and remembers where
each came from.
"""

from gadgetip.vhci.local import LocalName, local_name
from gadgetip.vhci.ports import (
    CONTROLLER,
    FREE_LIMIT_S,
    NO_DEVICE,
    PortStatus,
    VhciPort,
    attach_stream,
    detach_port,
    held_by_a_driver,
    list_ports,
    parse_status,
    port_now,
    port_numbered,
    require_vhci,
    wait_until_free,
)
from gadgetip.vhci.remembered import (
    Remembered,
    forget,
    forget_stale,
    is_recorded,
    remember,
    remembered_on,
    still_shows,
)

__all__ = [
    "CONTROLLER",
    "FREE_LIMIT_S",
    "NO_DEVICE",
    "LocalName",
    "PortStatus",
    "Remembered",
    "VhciPort",
    "attach_stream",
    "detach_port",
    "forget",
    "forget_stale",
    "held_by_a_driver",
    "is_recorded",
    "list_ports",
    "local_name",
    "parse_status",
    "port_now",
    "port_numbered",
    "remember",
    "remembered_on",
    "require_vhci",
    "still_shows",
    "wait_until_free",
]
