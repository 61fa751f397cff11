"""attachment: one attachment from end to end.

Import, plan, build, run, tear down. Two processes share it. The *keeper* has the privileges: it
imports the device, builds the replica, and removes it whatever happens. The *worker* has the open
files and nothing else: it carries the traffic. A crash, a leak or a blocked endpoint 0 stays
inside the worker, and its death is an unplug for the host, never a wedged board.

What is named here is imported when it is used: `ports` and `detach` need no gadget, and run on
machines that have none of its libraries.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gadgetip.attachment.detaching import Attached, choose, detach, what_is_attached
    from gadgetip.attachment.gadget_sink import attach_to_gadget, plan_for, remove_leftovers
    from gadgetip.attachment.keeping import keep_attached
    from gadgetip.attachment.listener import Bound, Imported, Listener
    from gadgetip.attachment.running import Registration, Running, list_running
    from gadgetip.attachment.searching import PatientSearch, Search, search_once
    from gadgetip.attachment.traffic import Traffic
    from gadgetip.attachment.vhci_sink import attach_to_vhci, stay_on_vhci

_MODULES = {
    "detaching": ("Attached", "choose", "detach", "what_is_attached"),
    "gadget_sink": ("attach_to_gadget", "plan_for", "remove_leftovers"),
    "keeping": ("keep_attached",),
    "listener": ("Bound", "Imported", "Listener"),
    "running": ("Registration", "Running", "list_running"),
    "searching": ("PatientSearch", "Search", "search_once"),
    "traffic": ("Traffic",),
    "vhci_sink": ("attach_to_vhci", "stay_on_vhci"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Attached",
    "Bound",
    "Imported",
    "Listener",
    "PatientSearch",
    "Registration",
    "Running",
    "Search",
    "Traffic",
    "attach_to_gadget",
    "attach_to_vhci",
    "choose",
    "detach",
    "keep_attached",
    "list_running",
    "plan_for",
    "remove_leftovers",
    "search_once",
    "stay_on_vhci",
    "what_is_attached",
]


def __getattr__(name: str) -> object:
    """Import the module of a name (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
