"""Mass storage, as far as descriptors tell: which settings speak the bulk-only transport.

Source: USB Mass Storage Class, Bulk-Only Transport 1.0, 4.3 and 4.4.
"""

from gadgetip.usb.classes import DeviceClass
from gadgetip.usb.transfer import Direction, TransferType
from gadgetip.usb.tree import AlternateSetting

BULK_ONLY_TRANSPORT = 0x50
"""bInterfaceProtocol (Mass Storage Class Overview 1.4, 4)."""


def speaks_bulk_only(setting: AlternateSetting) -> bool:
    """Whether an interface is bulk-only mass storage, whatever its command set."""
    descriptor = setting.descriptor
    directions = sorted(
        e.descriptor.direction
        for e in setting.endpoints
        if e.descriptor.transfer_type is TransferType.BULK
    )
    return (
        descriptor.bInterfaceClass == DeviceClass.MASS_STORAGE
        and descriptor.bInterfaceProtocol == BULK_ONLY_TRANSPORT
        and directions == [Direction.OUT, Direction.IN]
    )
