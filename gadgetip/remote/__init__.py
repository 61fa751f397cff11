"""remote: what a server offers.

Lists what a server exports, imports one device of it, and reads what the device says of itself.
What comes out is an `ImportedDevice`: a stream that carries URBs and the device's identity. This
room knows no gadget and no vhci.
"""

from gadgetip.remote.descriptors import read_device_tree
from gadgetip.remote.finding import (
    AmbiguousError,
    FoundDevice,
    KnownTrees,
    LeftOut,
    OnImport,
    find_and_import,
)
from gadgetip.remote.operations import (
    DeviceBusyError,
    ImportedDevice,
    NotExportedError,
    import_device,
    is_still_exported,
    list_devices,
)
from gadgetip.remote.stale_session import forget_import, remember_import

__all__ = [
    "AmbiguousError",
    "DeviceBusyError",
    "FoundDevice",
    "ImportedDevice",
    "KnownTrees",
    "LeftOut",
    "NotExportedError",
    "OnImport",
    "find_and_import",
    "forget_import",
    "import_device",
    "is_still_exported",
    "list_devices",
    "read_device_tree",
    "remember_import",
]
