"""vhci: the standard path, this machine's own virtual host controller.

The kernel's vhci_hcd takes a connected stream and makes the device appear as if it were plugged
in here. This room finds ports and hands streams over.
"""

from gadgetip.vhci.ports import (
    PortStatus,
    VhciPort,
    attach_stream,
    list_ports,
    parse_status,
    require_vhci,
)

__all__ = [
    "PortStatus",
    "VhciPort",
    "attach_stream",
    "list_ports",
    "parse_status",
    "require_vhci",
]
