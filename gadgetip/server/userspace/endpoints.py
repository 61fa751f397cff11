"""Which endpoints a device has, in each configuration and alternate setting.

A client names an endpoint by number and direction and never says what type it is; the type is the
device's, in the settings that are in force. Descriptors are read as Linux reads them and more
leniently than for a replica: what is odd is skipped, for a device that this machine could use must
be exportable too (drivers/usb/core/config.c).
"""

from typing import Final, TypeAlias

from gadgetip.usb import DescriptorType, TransferType

Setting: TypeAlias = dict[int, TransferType]
"""bEndpointAddress: type."""

_DEVICE_BYTES: Final = 18
_CONFIGURATION_BYTES: Final = 9
_INTERFACE_BYTES: Final = 9
_ENDPOINT_BYTES: Final = 7
_ADDRESS_MASK: Final = 0x8F


class Configuration:
    """One configuration: the endpoints of each interface's alternate settings."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.interfaces: dict[int, dict[int, Setting]] = {}

    def endpoints(self, alternates: dict[int, int]) -> Setting:
        """All endpoints, with these alternate settings and 0 where none is named."""
        live: Setting = {}
        for interface, settings in self.interfaces.items():
            live.update(settings.get(alternates.get(interface, 0), {}))
        return live


def read_configurations(descriptors: bytes) -> dict[int, Configuration]:
    """Read what usbfs and sysfs give: the device descriptor, then every configuration whole."""
    found: dict[int, Configuration] = {}
    at = descriptors[0] if descriptors else 0
    while at >= _DEVICE_BYTES and at + _CONFIGURATION_BYTES <= len(descriptors):
        total = int.from_bytes(descriptors[at + 2 : at + 4], "little")
        if descriptors[at + 1] != DescriptorType.CONFIGURATION or total < _CONFIGURATION_BYTES:
            break
        configuration = _read_configuration(descriptors[at : at + total])
        found.setdefault(configuration.value, configuration)
        at += total
    return found


def _read_configuration(data: bytes) -> Configuration:
    configuration = Configuration(data[5])
    setting: Setting = {}
    at = data[0]
    while at + 2 <= len(data) and data[at] >= 2:
        descriptor = data[at : at + data[at]]
        kind, size = descriptor[1], len(descriptor)
        if kind == DescriptorType.INTERFACE and size >= _INTERFACE_BYTES:
            settings = configuration.interfaces.setdefault(descriptor[2], {})
            setting = settings.setdefault(descriptor[3], {})
        elif kind == DescriptorType.ENDPOINT and size >= _ENDPOINT_BYTES:
            address = descriptor[2] & _ADDRESS_MASK
            if address & 0x0F:
                setting.setdefault(address, TransferType(descriptor[3] & 0b11))
        at += data[at]
    return configuration
