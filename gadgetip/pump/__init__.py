"""pump: the engine of one attachment.

Two streams of work meet here: URBs that travel to the remote device and back (`urbs`), and
requests on the endpoint files of the replica (`replica_endpoint`). A *shaper* per endpoint decides
how the bytes are cut on either side (`shapers`). The pump owns the stream, the sequence numbers,
the unlink bookkeeping and the endpoint files while the replica runs; `interface` says what every
implementation of it offers, `python_pump` is the reference, `native_pump` the fast one.

This room knows what an endpoint is and nothing of configfs, FunctionFS or controllers.
"""

from gadgetip.pump.choosing import (
    PumpChoice,
    VhciPump,
    pump_for,
    require_pump,
    require_vhci_pump,
    shelter_requests,
    stream_for,
    vhci_pump,
)
from gadgetip.pump.interface import (
    ControlTimeoutError,
    EndpointFiles,
    EndpointRoute,
    Pipe,
    Pump,
    PumpListener,
    Shaping,
    StallError,
)
from gadgetip.pump.shaper_pump import ShaperPump
from gadgetip.pump.shapers import DeviceChangedError
from gadgetip.pump.statistics import EndpointStatistics
from gadgetip.pump.urbs import UrbStream

__all__ = [
    "ControlTimeoutError",
    "DeviceChangedError",
    "EndpointFiles",
    "EndpointRoute",
    "EndpointStatistics",
    "Pipe",
    "Pump",
    "PumpChoice",
    "PumpListener",
    "ShaperPump",
    "Shaping",
    "StallError",
    "UrbStream",
    "VhciPump",
    "pump_for",
    "require_pump",
    "require_vhci_pump",
    "shelter_requests",
    "stream_for",
    "vhci_pump",
]
