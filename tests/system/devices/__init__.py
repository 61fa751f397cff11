"""Devices for the system tests: the kernel's own gadget functions on a controller of the bench.

`gadget` builds any of them from a description; `catalogue` has descriptions of whole devices;
`hid` has the functions that take more than a few attributes. What the device's side
does (types, answers, receives) goes through the node that its function makes: `Gadget.node`.
"""

from tests.system.devices.gadget import Configuration, Description, Function, Gadget, Link

__all__ = ["Configuration", "Description", "Function", "Gadget", "Link"]
