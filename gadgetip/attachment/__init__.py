"""attachment: one attachment from end to end.

Import, plan, build, run, tear down. Two processes share it. The *keeper* has the privileges: it
imports the device, builds the replica, and removes it whatever happens. The *worker* has the open
files and nothing else: it carries the traffic. A crash, a leak or a blocked endpoint 0 stays
inside the worker, and its death is an unplug for the host, never a wedged board.
"""

from gadgetip.attachment.gadget_sink import Bound, Listener, attach_to_gadget, plan_for
from gadgetip.attachment.vhci_sink import Imported, attach_to_vhci

__all__ = ["Bound", "Imported", "Listener", "attach_to_gadget", "attach_to_vhci", "plan_for"]
