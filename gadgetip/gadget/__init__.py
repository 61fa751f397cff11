"""gadget: the replica.

`plan` decides, as a pure function, what will be built and what will differ; `udc_models` are its
facts about controllers. The rest acts: `udc` looks at the live controllers, `configfs` makes and
removes gadgets, `backends` put a replica together and hand out its data path, `ep0` carries the
host's control requests.
"""

from gadgetip.gadget.backends import BACKENDS, Backend, Replica
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.ep0 import ControlEndpoint, ControlEvent
from gadgetip.gadget.plan import Plan, make_plan
from gadgetip.gadget.udc import Udc, choose_udc, list_udcs

__all__ = [
    "BACKENDS",
    "Backend",
    "ControlEndpoint",
    "ControlEvent",
    "Deviation",
    "Plan",
    "Replica",
    "Severity",
    "Udc",
    "choose_udc",
    "list_udcs",
    "make_plan",
]
