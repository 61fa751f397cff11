"""gadget: the replica.

`plan` decides, as a pure function, what will be built and what will differ, from the limits that
each backend declares (`capabilities`), the facts about controllers (`udc_models`), and a profile.
The rest acts: `udc` looks at the live controllers, `configfs` makes and removes gadgets, `backends`
put a replica together and hand out its data path, `host_events` tells what the host does.
"""

from gadgetip.gadget.backends import BACKENDS, Backend, Replica
from gadgetip.gadget.capabilities import Capabilities, KernelVersion
from gadgetip.gadget.deviations import Deviation, Severity
from gadgetip.gadget.host_events import HostEvent, HostEvents
from gadgetip.gadget.plan import make_plan
from gadgetip.gadget.planned import Holdable, HoldPlan, Plan, PlannedConfiguration
from gadgetip.gadget.udc import Udc, choose_udc, list_udcs
from gadgetip.gadget.udc_models import UDC_MODELS, UdcModel, assumption, model_named

__all__ = [
    "BACKENDS",
    "UDC_MODELS",
    "Backend",
    "Capabilities",
    "Deviation",
    "HoldPlan",
    "Holdable",
    "HostEvent",
    "HostEvents",
    "KernelVersion",
    "Plan",
    "PlannedConfiguration",
    "Replica",
    "Severity",
    "Udc",
    "UdcModel",
    "assumption",
    "choose_udc",
    "list_udcs",
    "make_plan",
    "model_named",
]
